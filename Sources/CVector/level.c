#include "CVector.h"
#include "panel.h"

_Thread_local float vector_panel[2 * VECTOR_PANEL_MAX * (VECTOR_DEPTH_MAX + 16)] __attribute__((aligned(64)));

extern const vector_loops vector_loops_plain;
#if defined(__x86_64__)
extern const vector_loops vector_loops_avx2;
extern const vector_loops vector_loops_avx512;
#endif

int vector_level_max(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return vector_level_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return vector_level_avx2;
#endif
    return vector_level_plain;
}

const vector_loops *vector_loops_for(int level)
{
#if defined(__x86_64__)
    if (level == vector_level_avx512) return &vector_loops_avx512;
    if (level == vector_level_avx2) return &vector_loops_avx2;
#endif
    (void)level;
    return &vector_loops_plain;
}
