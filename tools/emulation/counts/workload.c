/* Runs the shipped kernels and their references on the same data, each between marks that the plugin counts from.
 *
 *     workload LIBRARY PROCESSOR CLASSES DIMENSION
 *
 * The plugin's labels: 1 an empty stretch; 2 and 3 an update step, shipped and reference; 4 and 5 Fisher; 6 and 7
 * herding. Ends with code 1 where the two compute different things.
 */
#include "reference.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MARK = 9999, BATCH = 32, POOL = 64, FISHER_ROWS = 64, HERDED = 100, PICKS = 20, WARM_UP = 1 };
typedef union {
    const void *address;
    int64_t number;
    double real;
} slot;
typedef void (*kernel)(const slot *);

static uint32_t state = 1;

static float drawn(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / (1 << 24) - 0.5f;
}

static float *floats(int count, float scale)
{
    float *made = aligned_alloc(64, (sizeof(float) * count + 63) / 64 * 64);
    for (int i = 0; i < count; i++)
        made[i] = scale * drawn();
    return made;
}

static float *copied(const float *from, int count)
{
    return memcpy(floats(count, 0), from, sizeof(float) * count);
}

static void mark(int label)
{
    syscall(MARK, label);
}

static kernel loaded(void *library, const char *name, const char *processor)
{
    char symbol[99];
    snprintf(symbol, sizeof symbol, "%s__%s", name, processor);
    kernel found = (kernel)dlsym(library, symbol);
    if (!found)
        exit(fprintf(stderr, "the library has no %s\n", symbol));
    return found;
}

static void compare(const char *what, const float *one, const float *other, int count)
{
    float largest = 0, apart = 0;
    for (int i = 0; i < count; i++) {
        largest = fmaxf(largest, fabsf(other[i]));
        apart = fmaxf(apart, fabsf(one[i] - other[i]));
    }
    if (!(apart <= 1e-4f * largest))
        exit(fprintf(stderr, "%s: %g apart where the largest value is %g\n", what, apart, largest) > 0);
}

static void update_step(kernel shipped, int classes, int dimension)
{
    const int columns = (dimension + 1 + 15) / 16 * 16, size = classes * columns, wide = (classes + 3) / 4 * 4;
    float *parameters = floats(4 * size, 0.1f), *scales = floats(POOL, 0), *offset = floats(dimension, 0.01f);
    float *sample_weights = floats(BATCH, 0), *x = floats(BATCH * columns, 0), *p = floats(BATCH * wide, 0);
    int8_t *rows = malloc(POOL * dimension);
    int32_t labels[POOL], slots[BATCH];
    float rate = 0.1f, momentum = 0.9f, penalty = 1, factor = 1;
    for (int i = 0; i < POOL; i++) {
        scales[i] = 0.01f;
        labels[i] = i % classes;
    }
    for (int i = 0; i < POOL * dimension; i++)
        rows[i] = (int8_t)(254 * drawn());
    for (int i = 0; i < BATCH; i++) {
        slots[i] = 2 * i;
        sample_weights[i] = 1.0f / BATCH;
    }
    for (int i = 0; i < size; i++) /* columns that hold nothing are nought, precision is not negative */
        for (int part = 0; part < 4; part++)
            parameters[part * size + i] = i % columns > dimension ? 0 : fabsf(parameters[part * size + i]);
    float *other = copied(parameters, 4 * size);
    const slot given[] = {{parameters}, {.number = 4}, {.number = classes}, {.number = columns},
                          {rows}, {.number = POOL}, {.number = dimension}, {scales}, {.number = POOL},
                          {labels}, {.number = POOL}, {slots}, {.number = 1}, {.number = BATCH},
                          {sample_weights}, {.number = BATCH}, {&rate}, {.number = 1}, {.real = momentum},
                          {.real = penalty}, {offset}, {.number = dimension}, {.real = factor}, {.number = 0},
                          {.number = 0}, {x}, {.number = BATCH}, {.number = columns}, {p}, {.number = BATCH},
                          {.number = wide}};
    for (int round = 0; round <= WARM_UP; round++) {
        mark(0);
        shipped(given);
        mark(round == WARM_UP ? 2 : 0);
        reference_step(other, other + size, other + 2 * size, other + 3 * size, rows, scales, labels, slots,
                       sample_weights, offset, factor, momentum, rate, penalty, BATCH, classes, dimension, columns, x, p);
        mark(round == WARM_UP ? 3 : 0);
    }
    compare("update step", parameters, other, 2 * size);
}

static void fisher(kernel shipped, int classes, int dimension)
{
    const int columns = (dimension + 1 + 15) / 16 * 16, size = classes * columns, wide = (classes + 3) / 4 * 4;
    float *x = floats(FISHER_ROWS * columns, 1), *weights = floats(size, 0.2f), *scratch = floats(FISHER_ROWS * wide, 0);
    float *one = floats(size, 0), *other = floats(size, 0);
    const slot given[] = {{x}, {.number = FISHER_ROWS}, {.number = columns}, {weights}, {.number = classes},
                          {.number = columns}, {scratch}, {.number = FISHER_ROWS}, {.number = wide}, {one},
                          {.number = classes}, {.number = columns}};
    for (int round = 0; round <= WARM_UP; round++) {
        mark(0);
        shipped(given);
        mark(round == WARM_UP ? 4 : 0);
        reference_fisher(x, weights, FISHER_ROWS, classes, columns, scratch, other);
        mark(round == WARM_UP ? 5 : 0);
    }
    compare("Fisher", one, other, size);
}

static void herding(kernel shipped, int dimension)
{
    float *x = floats(HERDED * dimension, 1), *target = floats(dimension, 0.01f), *scratch = floats(3 * HERDED, 0);
    int32_t one[PICKS], other[PICKS];
    const slot given[] = {{x}, {.number = HERDED}, {.number = dimension}, {target}, {.number = dimension}, {scratch},
                          {.number = 3}, {.number = HERDED}, {one}, {.number = PICKS}};
    for (int round = 0; round <= WARM_UP; round++) {
        mark(0);
        shipped(given);
        mark(round == WARM_UP ? 6 : 0);
        reference_herding(x, target, HERDED, dimension, PICKS, scratch, other);
        mark(round == WARM_UP ? 7 : 0);
    }
    if (memcmp(one, other, sizeof one))
        exit(fprintf(stderr, "herding: other picks\n") > 0);
}

int main(int count, char **words)
{
    void *library = count == 5 ? dlopen(words[1], RTLD_NOW) : NULL;
    if (!library)
        return fprintf(stderr, "%s\n", count == 5 ? dlerror() : "wanted LIBRARY PROCESSOR CLASSES DIMENSION") > 0;
    const int classes = atoi(words[3]), dimension = atoi(words[4]);
    mark(0);
    mark(1);
    update_step(loaded(library, "refine_steps", words[2]), classes, dimension);
    fisher(loaded(library, "fisher_diagonal", words[2]), classes, dimension);
    herding(loaded(library, "herding_order", words[2]), dimension);
    return 0;
}
