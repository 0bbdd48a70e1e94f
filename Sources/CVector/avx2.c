#if defined(__x86_64__)
#define LANES 8
#define TILE_ROWS 6
#define TABLE vector_loops_avx2
#define NAME "AVX2"
#define TARGET "avx2,fma"
#include "loops.h"
#endif
