#if defined(__x86_64__)
#define LANES 16
#define TILE_ROWS 14
#define TABLE vector_loops_avx512
#define NAME "AVX-512"
#define TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"
#include "loops.h"
#endif
