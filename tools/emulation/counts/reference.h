/* What the shipped kernels are compared with; shapes and formulas are those of `edgecl_kernels`. */
#include <stdint.h>

void reference_step(float *restrict theta, float *restrict velocity, const float *restrict precision,
                    const float *restrict anchor, const int8_t *restrict rows, const float *restrict scales,
                    const int32_t *restrict labels, const int32_t *restrict slots, const float *restrict sample_weights,
                    const float *restrict offset, float factor, float momentum, float rate, float penalty, int batch,
                    int classes, int dimension, int columns, float *restrict x, float *restrict p);
void reference_fisher(const float *restrict x, const float *restrict weights, int rows, int classes, int columns,
                      float *restrict p, float *restrict fisher);
void reference_herding(const float *restrict x, const float *restrict target, int rows, int dimension, int picks,
                       float *restrict scratch, int32_t *restrict order);
