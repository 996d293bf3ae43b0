/* The hand-fused C that tools/bench_peers sets beside the kernels: what one careful person writes for one machine.

   One thread, float32, vectors and tiles that fill the registers of the processor that it is compiled for. Rows are
   padded with zeros to `columns`, a multiple of 16; the bias is the weight of a constant column. Compiled by
   peers/in_c.py. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined __AVX512F__ /* 32 registers of 16 floats */
enum { LANES = 16, DOT_CLASSES = 6, VECTORS = 4, CHAINS = 24 };
#elif defined __AVX__ /* 16 of 8 */
enum { LANES = 8, DOT_CLASSES = 3, VECTORS = 2, CHAINS = 12 };
#elif defined __aarch64__ /* 32 of 4 */
enum { LANES = 4, DOT_CLASSES = 6, VECTORS = 4, CHAINS = 24 };
#else /* 16 of 4, and a product takes one of its own */
enum { LANES = 4, DOT_CLASSES = 2, VECTORS = 2, CHAINS = 12 };
#endif
typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
enum { CLASSES = 6, ROWS = 4, PANEL = 256 };
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

INLINE lanes load(const float *from) { return *(const lanes *)from; }
INLINE void store(float *to, lanes value) { *(lanes *)to = value; }
INLINE float sum(lanes value)
{
    float total = 0;
    UNROLL for (int i = 0; i < LANES; i++) total += value[i];
    return total;
}
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* out[b, c] = x[b] . weights[c] for a tile of rows and classes that stays in registers */
INLINE void dot_tile(const int rows, const int classes, const float *restrict x, const float *restrict weights,
                     int64_t columns, float *restrict out, int64_t stride)
{
    lanes sums[ROWS][DOT_CLASSES] = {0};
    for (int64_t d = 0; d < columns; d += LANES) {
        lanes held[DOT_CLASSES];
        UNROLL for (int c = 0; c < classes; c++) held[c] = load(weights + c * columns + d);
        UNROLL for (int b = 0; b < rows; b++) {
            lanes row = load(x + b * columns + d);
            UNROLL for (int c = 0; c < classes; c++) sums[b][c] += row * held[c];
        }
    }
    UNROLL for (int b = 0; b < rows; b++)
        UNROLL for (int c = 0; c < classes; c++) out[b * stride + c] = sum(sums[b][c]);
}

#define BY_CLASSES(call) \
    switch (count) { \
    case 6: call(6); break; \
    case 5: call(5); break; \
    case 4: call(4); break; \
    case 3: call(3); break; \
    case 2: call(2); break; \
    default: call(1); \
    }

static void dots(const float *x, int64_t rows, const float *weights, int64_t classes, int64_t columns, float *out,
                 int64_t stride)
{
    for (int64_t c = 0; c < classes; c += DOT_CLASSES) {
        int64_t b = 0, count = least(DOT_CLASSES, classes - c);
#define DOT(rows, n) \
    dot_tile(rows, n < DOT_CLASSES ? n : DOT_CLASSES, x + b * columns, weights + c * columns, columns, \
             out + b * stride + c, stride)
#define FOUR(n) DOT(ROWS, n)
#define ONE(n) DOT(1, n)
        for (; b + ROWS <= rows; b += ROWS) BY_CLASSES(FOUR)
        for (; b < rows; b++) BY_CLASSES(ONE)
    }
}

static void softmax(float *restrict z, int64_t classes)
{
    float top = z[0], total = 0;
    for (int64_t c = 1; c < classes; c++) top = z[c] > top ? z[c] : top;
    for (int64_t c = 0; c < classes; c++) total += z[c] = expf(z[c] - top);
    for (int64_t c = 0; c < classes; c++) z[c] /= total;
}

typedef struct {
    int64_t classes, columns, batch, stride;
    float *weights, *velocity;
    const float *precision, *anchor, *latents;
    const int32_t *labels;
    float *x, *p; /* (batch, columns), (batch, stride) */
    float rate, momentum, strength;
} Head;

/* gradient, EWC gradient, momentum and store for a tile of classes and LANES * `vectors` columns */
INLINE void descend_tile(const int classes, const int vectors, const Head *head, int64_t c0, int64_t d0)
{
    const int64_t columns = head->columns, stride = head->stride;
    lanes sums[CLASSES][VECTORS] = {0};
    for (int64_t b = 0; b < head->batch; b++) {
        const float *restrict x = head->x + b * columns + d0, *restrict p = head->p + b * stride + c0;
        lanes held[VECTORS];
        UNROLL for (int v = 0; v < vectors; v++) held[v] = load(x + LANES * v);
        UNROLL for (int c = 0; c < classes; c++)
            UNROLL for (int v = 0; v < vectors; v++) sums[c][v] += p[c] * held[v];
    }
    UNROLL for (int c = 0; c < classes; c++)
        UNROLL for (int v = 0; v < vectors; v++) {
            int64_t at = (c0 + c) * columns + d0 + LANES * v;
            lanes weight = load(head->weights + at);
            lanes pull = load(head->precision + at) * (weight - load(head->anchor + at));
            lanes velocity = head->momentum * load(head->velocity + at) + sums[c][v] + head->strength * pull;
            store(head->velocity + at, velocity);
            store(head->weights + at, weight - head->rate * velocity);
        }
}

static void descend(const Head *head)
{
    for (int64_t panel = 0; panel < head->columns; panel += PANEL) {
        int64_t end = least(panel + PANEL, head->columns);
        for (int64_t c = 0; c < head->classes; c += CLASSES) {
            int64_t d = panel, count = least(CLASSES, head->classes - c);
#define WIDE(n) descend_tile(n, VECTORS, head, c, d)
#define NARROW(n) descend_tile(n, 1, head, c, d)
            for (; d + VECTORS * LANES <= end; d += VECTORS * LANES) BY_CLASSES(WIDE)
            for (; d < end; d += LANES) BY_CLASSES(NARROW)
        }
    }
}

/* one step for each row of `schedule` (steps, batch) */
void head_steps(const Head *head, const int32_t *schedule, int64_t steps)
{
    const int64_t columns = head->columns, stride = head->stride;
    for (int64_t step = 0; step < steps; step++, schedule += head->batch) {
        for (int64_t b = 0; b < head->batch; b++)
            memcpy(head->x + b * columns, head->latents + schedule[b] * columns, columns * sizeof(float));
        dots(head->x, head->batch, head->weights, head->classes, columns, head->p, stride);
        for (int64_t b = 0; b < head->batch; b++) {
            float *p = head->p + b * stride, share = 1.0f / head->batch;
            softmax(p, head->classes);
            for (int64_t c = 0; c < head->classes; c++) p[c] *= share;
            p[head->labels[schedule[b]]] -= share;
        }
        descend(head);
    }
}

/* fisher += q'x^2, q = p(1 - p), in blocks of 64 rows */
INLINE void fisher_tile(const int classes, const int vectors, const float *x, const float *q, int64_t rows,
                        int64_t columns, int64_t stride, float *fisher)
{
    lanes sums[CLASSES][VECTORS] = {0};
    for (int64_t b = 0; b < rows; b++) {
        lanes held[VECTORS];
        UNROLL for (int v = 0; v < vectors; v++) held[v] = load(x + b * columns + LANES * v);
        UNROLL for (int v = 0; v < vectors; v++) held[v] *= held[v];
        UNROLL for (int c = 0; c < classes; c++)
            UNROLL for (int v = 0; v < vectors; v++) sums[c][v] += q[b * stride + c] * held[v];
    }
    UNROLL for (int c = 0; c < classes; c++)
        UNROLL for (int v = 0; v < vectors; v++) {
            float *to = fisher + c * columns + LANES * v;
            store(to, load(to) + sums[c][v]);
        }
}

void fisher_diagonal(const float *x, int64_t rows, const float *weights, int64_t classes, int64_t columns, float *q,
                     int64_t stride, float *fisher)
{
    for (int64_t first = 0; first < rows; first += 64) {
        const float *block = x + first * columns;
        int64_t held = least(64, rows - first);
        dots(block, held, weights, classes, columns, q, stride);
        for (int64_t b = 0; b < held; b++) {
            softmax(q + b * stride, classes);
            for (int64_t c = 0; c < classes; c++) q[b * stride + c] *= 1 - q[b * stride + c];
        }
        for (int64_t c = 0; c < classes; c += CLASSES) {
            int64_t d = 0, count = least(CLASSES, classes - c);
#define FISHER_WIDE(n) fisher_tile(n, VECTORS, block + d, q + c, held, columns, stride, fisher + c * columns + d)
#define FISHER_NARROW(n) fisher_tile(n, 1, block + d, q + c, held, columns, stride, fisher + c * columns + d)
            for (; d + VECTORS * LANES <= columns; d += VECTORS * LANES) BY_CLASSES(FISHER_WIDE)
            for (; d < columns; d += LANES) BY_CLASSES(FISHER_NARROW)
        }
    }
}

/* iCaRL's order; `scratch` (3, rows) holds |z|^2, z . sum of the taken, and 1 for a row once taken; z = x - target */
static float centred(const float *restrict a, const float *restrict b, const float *restrict target, int64_t dimension)
{
    float total = 0;
    for (int64_t d = 0; d < dimension; d++) total += (a[d] - target[d]) * (b[d] - target[d]);
    return total;
}

void herding_order(const float *x, int64_t rows, int64_t dimension, const float *target, float *scratch,
                   int32_t *order, int64_t picks)
{
    float *norms = scratch, *sums = scratch + rows, *taken = scratch + 2 * rows;
    for (int64_t i = 0; i < rows; i++) {
        norms[i] = centred(x + i * dimension, x + i * dimension, target, dimension);
        sums[i] = taken[i] = 0;
    }
    for (int64_t k = 0; k < picks; k++) {
        int64_t best = -1;
        float lowest = 0;
        for (int64_t i = 0; i < rows; i++) {
            float score = norms[i] + 2 * sums[i];
            if (!taken[i] && (best < 0 || score < lowest)) best = i, lowest = score;
        }
        order[k] = best;
        taken[best] = 1;
        for (int64_t i = 0; i < rows; i++)
            sums[i] += centred(x + i * dimension, x + best * dimension, target, dimension);
    }
}

/* scatter (columns, columns), its lower blocks, += x'x */
INLINE void scatter_tile(const float *x, int64_t rows, int64_t columns, int64_t i, int64_t j, float *scatter)
{
    lanes sums[4][VECTORS] = {0};
    for (int64_t b = 0; b < rows; b++) {
        const float *row = x + b * columns;
        lanes held[VECTORS];
        UNROLL for (int v = 0; v < VECTORS; v++) held[v] = load(row + j + LANES * v);
        UNROLL for (int k = 0; k < 4; k++)
            UNROLL for (int v = 0; v < VECTORS; v++) sums[k][v] += row[i + k] * held[v];
    }
    UNROLL for (int k = 0; k < 4; k++)
        UNROLL for (int v = 0; v < VECTORS; v++) {
            float *to = scatter + (i + k) * columns + j + LANES * v;
            store(to, load(to) + sums[k][v]);
        }
}

void scatter_update(const float *x, int64_t rows, int64_t columns, float *scatter)
{
    for (int64_t j = 0; j < columns; j += VECTORS * LANES) /* columns: a multiple of 64 */
        for (int64_t i = j; i < columns; i += 4) scatter_tile(x, rows, columns, i, j, scatter);
}

/* what the machine can do: independent chains of fused multiply-adds, `round_operations` in a round */
int64_t round_operations(void) { return CHAINS * LANES * 2; }
float multiply_adds(int64_t rounds)
{
    lanes sums[CHAINS], factor = (lanes){0} + 1.0000001f, term = (lanes){0} + 1e-9f, total = {0};
    _Pragma("GCC unroll 24") for (int i = 0; i < CHAINS; i++) sums[i] = (lanes){0} + (float)i;
    for (int64_t round = 0; round < rounds; round++) {
        _Pragma("GCC unroll 24") for (int i = 0; i < CHAINS; i++) sums[i] = sums[i] * factor + term;
    }
    _Pragma("GCC unroll 24") for (int i = 0; i < CHAINS; i++) total += sums[i];
    return sum(total);
}

/* the traffic of a step without its arithmetic: four arrays read, two written, `rounds` times */
void update_pass(float *weights, float *velocity, const float *precision, const float *anchor, int64_t count,
                 int64_t rounds)
{
    for (int64_t round = 0; round < rounds; round++) {
        for (int64_t i = 0; i < count; i += LANES) {
            lanes weight = load(weights + i);
            lanes next = 0.9f * load(velocity + i) + load(precision + i) * (weight - load(anchor + i));
            store(velocity + i, next);
            store(weights + i, weight - 0.001f * next);
        }
        __asm__ volatile("" ::: "memory");
    }
}
