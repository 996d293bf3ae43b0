/* The kernels as a C programmer would write them: plain loops in an order that vectorises, fused where it is obvious. */
#include "reference.h"

#include <math.h>
#include <string.h>

static void softmax(float *restrict z, int n)
{
    float top = z[0], total = 0;
    for (int c = 1; c < n; c++)
        top = fmaxf(top, z[c]);
    for (int c = 0; c < n; c++) {
        z[c] = expf(z[c] - top);
        total += z[c];
    }
    for (int c = 0; c < n; c++)
        z[c] /= total;
}

static void scores(const float *restrict x, const float *restrict weights, int rows, int classes, int columns,
                   float *restrict p)
{
    for (int b = 0; b < rows; b++)
        for (int c = 0; c < classes; c++) {
            float sum = 0;
            for (int d = 0; d < columns; d++)
                sum += x[b * columns + d] * weights[c * columns + d];
            p[b * classes + c] = sum;
        }
}

void reference_step(float *restrict theta, float *restrict velocity, const float *restrict precision,
                    const float *restrict anchor, const int8_t *restrict rows, const float *restrict scales,
                    const int32_t *restrict labels, const int32_t *restrict slots, const float *restrict sample_weights,
                    const float *restrict offset, float factor, float momentum, float rate, float penalty, int batch,
                    int classes, int dimension, int columns, float *restrict x, float *restrict p)
{
    memset(x, 0, sizeof(float) * batch * columns);
    for (int b = 0; b < batch; b++) {
        const int8_t *row = rows + slots[b] * dimension;
        for (int d = 0; d < dimension; d++)
            x[b * columns + d] = (scales[slots[b]] * row[d] - offset[d]) * factor;
        x[b * columns + dimension] = 1;
    }
    scores(x, theta, batch, classes, columns, p);
    for (int b = 0; b < batch; b++) {
        softmax(p + b * classes, classes);
        p[b * classes + labels[slots[b]]] -= 1;
        for (int c = 0; c < classes; c++)
            p[b * classes + c] *= sample_weights[b];
    }
    for (int c = 0; c < classes; c++) {
        float *restrict v = velocity + c * columns, *restrict t = theta + c * columns;
        const float *restrict f = precision + c * columns, *restrict a = anchor + c * columns;
        for (int d = 0; d < columns; d++)
            v[d] *= momentum;
        for (int b = 0; b < batch; b++) {
            const float residual = p[b * classes + c];
            for (int d = 0; d < columns; d++)
                v[d] += residual * x[b * columns + d];
        }
        for (int d = 0; d < columns; d++) {
            const float s = rate * penalty * f[d];
            t[d] = (t[d] - rate * v[d] + s * a[d]) / (1 + s);
        }
    }
}

void reference_fisher(const float *restrict x, const float *restrict weights, int rows, int classes, int columns,
                      float *restrict p, float *restrict fisher)
{
    scores(x, weights, rows, classes, columns, p);
    for (int b = 0; b < rows; b++) {
        softmax(p + b * classes, classes);
        for (int c = 0; c < classes; c++) {
            const float q = p[b * classes + c] * (1 - p[b * classes + c]);
            for (int d = 0; d < columns; d++)
                fisher[c * columns + d] += q * x[b * columns + d] * x[b * columns + d];
        }
    }
}

static float product(const float *restrict a, const float *restrict b, const float *restrict target, int dimension)
{
    float sum = 0;
    for (int d = 0; d < dimension; d++)
        sum += (a[d] - target[d]) * (b[d] - target[d]);
    return sum;
}

void reference_herding(const float *restrict x, const float *restrict target, int rows, int dimension, int picks,
                       float *restrict scratch, int32_t *restrict order)
{
    float *restrict norms = scratch, *restrict sums = scratch + rows, *restrict taken = scratch + 2 * rows;
    for (int i = 0; i < rows; i++) {
        norms[i] = product(x + i * dimension, x + i * dimension, target, dimension);
        sums[i] = taken[i] = 0;
    }
    for (int k = 0; k < picks; k++) {
        int best = -1;
        for (int i = 0; i < rows; i++)
            if (!taken[i] && (best < 0 || norms[i] + 2 * sums[i] < norms[best] + 2 * sums[best]))
                best = i;
        order[k] = best;
        taken[best] = 1;
        for (int i = 0; i < rows; i++)
            sums[i] += product(x + i * dimension, x + best * dimension, target, dimension);
    }
}
