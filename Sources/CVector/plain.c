// For every processor: four lanes, which any compiler maps to what the target has.
#define LANES 4
#define TILE_ROWS 4
#define TABLE vector_loops_plain
#define NAME "plain"
#include "loops.h"
