// Where a product repacks a panel of B: one buffer per thread, because a fresh one for each product would
// cost more than small products do.
#ifndef PANEL_H
#define PANEL_H

// Columns of the widest panel.
#define VECTOR_PANEL_MAX 32
// Longest block of a product's inner dimension: with it, a few hundred rows of A stay in the second cache.
#define VECTOR_DEPTH_MAX 640

// A panel and, behind it, its rows before they are transposed.
extern _Thread_local float vector_panel[2 * VECTOR_PANEL_MAX * (VECTOR_DEPTH_MAX + 16)];

#endif
