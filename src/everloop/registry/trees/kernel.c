/* Scores of rows by an ensemble of trees, exactly as the library that grew them computes them.
 *
 * Each value of a row becomes a whole number in the same order, twice: once with missing above everything, once below.
 * So a node only names the column that fits it, and one comparison of whole numbers does for missing values, infinities
 * and noughts alike. Many walks go side by side, so that the processor waits for many nodes at once instead of for
 * one: sixteen trees of one row, or eight rows in one tree. A leaf looks at a column that is below everything: who has
 * come there stays there. Many rows are scored without walking where that is faster (bits.h).
 *
 * Nothing here locks or changes what it was given but `out`, so any number of threads may score with one forest. The
 * layout is that of table.py, which checks every index before it comes here.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CATEGORICAL = 1, UNKNOWN_RIGHT = 2 };
enum { IDENTITY, SIGMOID, SOFTMAX, EXP, SIGMOID32, SOFTMAX32, EXP32, SQUARE, LOG1PEXP };
enum { EXACT, TRUNCATED, NATURAL };
enum { LANES = 8, WIDE = 16, BLOCK = 64, KEYS = 8192, LAYOUT = 2 };
enum { PLANE = 256, FEW = 4, MANY = 4, SOME = 2, MISSING = -1, STRANGE = -2 };

typedef struct {
    int64_t key;     /* the threshold; of a leaf the bits of its value, or which row of `values` it gives */
    int32_t child;   /* the left one; the right one follows it. Of a leaf: itself */
    uint16_t column; /* a feature, missing above; features + a feature, missing below; 2 * features: of a leaf */
    uint16_t flags;
} Node;

typedef struct {
    uint64_t keep; /* the leaves that stay when the value's rank is not below the limit */
    int32_t limit; /* of a category: the node */
    int32_t plane;
} Condition;

typedef struct {
    int32_t begin, count, step, feature, above, below;
} Ranked;

typedef struct {
    int32_t feature, plane;
} Coded;

/* The same trees as bit vectors, for many rows: bits.py says what each array holds. */
typedef struct {
    const Condition *conditions;
    const int32_t *starts;
    const int64_t *leaves;
    const int32_t *firsts;
    const Ranked *ranked;
    const int64_t *cuts;
    const Coded *coded;
    int64_t ranks, codes, planes, wide;
} Bits;

typedef struct {
    const Bits *bits; /* NULL where trees are walked for any number of rows */
    const Node *nodes;
    const int32_t *roots;
    const int32_t *outputs; /* what each tree adds to */
    const double *values;   /* leaves of several values */
    const int64_t *sets;    /* where each set of categories begins in `ways`; one more for the end */
    const uint8_t *ways;    /* of each category in a set: 0 unknown, 1 left, 2 right */
    const double *base;
    int64_t trees, features, width;
    double divisor, slope, largest;
    int32_t vectors, sums32, link, rule, no_missing, categorical, inputs32;
} Forest;

typedef void Score(const Forest *forest, const double *matrix, int64_t count, char *planes, double *out);

static inline int64_t key_of(double x)
{
    int64_t bits;
    x += 0.0; /* Both noughts are one. */
    memcpy(&bits, &x, sizeof bits);
    return bits ^ ((bits >> 63) & INT64_MAX);
}

static inline int64_t key_above(double x)
{
    const int64_t key = key_of(x);
    return x != x ? INT64_MAX : key;
}

static inline double number_of(int64_t key)
{
    double x;
    key ^= (key >> 63) & INT64_MAX;
    memcpy(&x, &key, sizeof x);
    return x;
}

static void keys_of(const Forest *forest, const double *row, int64_t *keys)
{
    const int64_t features = forest->features;
    for (int64_t at = 0; at < features; at++) {
        const double x = row[at];
        const int64_t key = key_of(x);
        keys[at] = x != x ? INT64_MAX : key;
        keys[features + at] = x != x ? INT64_MIN : key;
    }
    keys[2 * features] = INT64_MIN;
}

static int category_right(const Forest *forest, const Node *node, int64_t key)
{
    const int64_t begin = forest->sets[node->key], count = forest->sets[node->key + 1] - begin;
    if (key == INT64_MAX || key == INT64_MIN)
        return key == INT64_MAX;
    const double x = forest->inputs32 ? (float)number_of(key) : number_of(key);
    if (x < (double)count && (forest->rule == TRUNCATED ? x > -1.0 : x >= 0.0)) {
        const int64_t code = (int64_t)x;
        const uint8_t way = forest->rule != EXACT || (double)code == x ? forest->ways[begin + code] : 0;
        if (way)
            return way == 2;
    }
    return (node->flags & UNKNOWN_RIGHT) != 0;
}

static inline void walk(const Forest *forest, const int64_t *const *keys, int32_t *at, int lanes, int categorical)
{
    const Node *nodes = forest->nodes;
    int32_t moved;
    do {
        moved = 0;
        for (int lane = 0; lane < lanes; lane++) {
            const Node *node = nodes + at[lane];
            const int64_t key = keys[lane][node->column];
            int32_t next = node->child + (key > node->key);
            if (categorical && (node->flags & CATEGORICAL))
                next = node->child + category_right(forest, node, key);
            moved |= next ^ at[lane];
            at[lane] = next;
        }
    } while (moved);
}

static void descend(const Forest *forest, const int64_t *const *keys, int32_t *at, int lanes)
{
    if (forest->categorical && lanes == LANES)
        walk(forest, keys, at, LANES, 1);
    else if (forest->categorical)
        walk(forest, keys, at, lanes, 1);
    else if (lanes == LANES)
        walk(forest, keys, at, LANES, 0);
    else if (lanes == WIDE)
        walk(forest, keys, at, WIDE, 0);
    else
        walk(forest, keys, at, lanes, 0);
}

static inline void add(const Forest *forest, int64_t tree, int64_t leaf, double *out)
{
    if (forest->vectors) {
        const double *values = forest->values + leaf * forest->width;
        for (int64_t k = 0; k < forest->width; k++)
            out[k] += values[k];
        return;
    }
    double value, *sum = out + forest->outputs[tree];
    memcpy(&value, &leaf, sizeof value);
    *sum += value;
    if (forest->sums32)
        *sum = (float)*sum; /* The sum of two floats, rounded from a double, is what adding floats gives. */
}

static void one_row(const Forest *forest, const int64_t *keys, double *out)
{
    const int64_t *rows[WIDE];
    for (int lane = 0; lane < WIDE; lane++)
        rows[lane] = keys;
    for (int64_t tree = 0; tree < forest->trees; tree += WIDE) {
        const int lanes = forest->trees - tree < WIDE ? (int)(forest->trees - tree) : WIDE;
        int32_t at[WIDE];
        for (int lane = 0; lane < lanes; lane++)
            at[lane] = forest->roots[tree + lane];
        descend(forest, rows, at, lanes);
        for (int lane = 0; lane < lanes; lane++)
            add(forest, tree + lane, forest->nodes[at[lane]].key, out);
    }
}

static void many_rows(const Forest *forest, const int64_t *keys, int64_t count, double *out)
{
    const int64_t stride = 2 * forest->features + 1;
    for (int64_t tree = 0; tree < forest->trees; tree++) {
        for (int64_t row = 0; row < count; row += LANES) {
            const int lanes = count - row < LANES ? (int)(count - row) : LANES;
            const int64_t *rows[LANES];
            int32_t at[LANES];
            for (int lane = 0; lane < lanes; lane++) {
                rows[lane] = keys + (row + lane) * stride;
                at[lane] = forest->roots[tree];
            }
            descend(forest, rows, at, lanes);
            for (int lane = 0; lane < lanes; lane++)
                add(forest, tree, forest->nodes[at[lane]].key, out + (row + lane) * forest->width);
        }
    }
}

static void block(const Forest *forest, const double *matrix, int64_t count, int64_t *keys, double *out)
{
    const int64_t stride = 2 * forest->features + 1;
    for (int64_t row = 0; row < count; row++)
        keys_of(forest, matrix + row * forest->features, keys + row * stride);
    if (count >= LANES)
        many_rows(forest, keys, count, out);
    else
        for (int64_t row = 0; row < count; row++)
            one_row(forest, keys + row * stride, out + row * forest->width);
}

/* On other processors it would compile as well, but nobody has measured whether it is faster than walking there. */
#ifdef __x86_64__
enum { VECTOR = 32 };
#define TARGET __attribute__((target("avx2,bmi")))
typedef int64_t Keys __attribute__((vector_size(VECTOR), aligned(8), may_alias));

/* The category that a value stands for, as every set of this forest would take it. */
static int32_t code_of(const Forest *forest, double x)
{
    if (x != x)
        return MISSING;
    x = forest->inputs32 ? (float)x : x;
    if (!(x < INT32_MAX && (forest->rule == TRUNCATED ? x > -1.0 : x >= 0.0)))
        return STRANGE;
    const int32_t code = (int32_t)x;
    return forest->rule != EXACT || (double)code == x ? code : STRANGE;
}

#define NAMED(name) name##_32
#define WORD uint32_t
#define SIGNED int32_t
#include "bits.h"

#define NAMED(name) name##_64
#define WORD uint64_t
#define SIGNED int64_t
#include "bits.h"

/* How to score so many rows by bit vectors; NULL where walking is as fast. */
static Score *by_bits(const Bits *bits, int64_t count)
{
    if (!bits || count < (bits->wide ? 2 * FEW : FEW))
        return NULL;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi"))
        return NULL;
    return bits->wide ? score_64 : score_32;
}
#else
static Score *by_bits(const Bits *bits, int64_t count)
{
    (void)bits, (void)count;
    return NULL;
}
#endif

static void softmax(double *out, int64_t width, int narrow)
{
    double most = out[0], sum = 0.0;
    for (int64_t k = 1; k < width; k++)
        most = out[k] > most ? out[k] : most;
    for (int64_t k = 0; k < width; k++) {
        out[k] = narrow ? expf((float)out[k] - (float)most) : exp(out[k] - most);
        sum += out[k];
    }
    for (int64_t k = 0; k < width; k++)
        out[k] = narrow ? (float)out[k] / (float)sum : out[k] / sum;
}

static double linked(int32_t link, double slope, double x)
{
    switch (link) {
    case SIGMOID: return 1.0 / (1.0 + exp(-slope * x));
    case SIGMOID32: return 1.0f / (expf(fminf(-(float)x, 88.7f)) + 1.0f + 1e-16f);
    case EXP: return exp(x);
    case EXP32: return expf((float)x);
    case SQUARE: return x < 0 ? -x * x : x * x;
    case LOG1PEXP: return log1p(exp(x));
    default: return x;
    }
}

static void link(const Forest *forest, double *out)
{
    for (int64_t k = 0; forest->divisor != 1.0 && k < forest->width; k++)
        out[k] /= forest->divisor;
    if (forest->link == SOFTMAX || forest->link == SOFTMAX32)
        softmax(out, forest->width, forest->link == SOFTMAX32);
    else if (forest->link != IDENTITY)
        for (int64_t k = 0; k < forest->width; k++)
            out[k] = linked(forest->link, forest->slope, out[k]);
}

/* Where the first value is that the model does not take; -1 when there is none. */
static int64_t refused(const Forest *forest, const double *matrix, int64_t count)
{
    const double largest = forest->largest;
    int bad = 0;
    for (int64_t i = 0; i < count; i++)
        bad |= forest->no_missing ? !(fabs(matrix[i]) <= largest) : fabs(matrix[i]) > largest;
    for (int64_t i = 0; bad && i < count; i++)
        if (forest->no_missing ? !(fabs(matrix[i]) <= largest) : fabs(matrix[i]) > largest)
            return i;
    return -1;
}

/* Scores of `count` rows into `out` (count × width); -1, the position of a value that the model does not take, or -2
 * without memory (which only tables of thousands of features ask for). */
int64_t everloop_score(const Forest *forest, const double *matrix, int64_t count, double *out)
{
    const int64_t stride = 2 * forest->features + 1;
    int64_t few[KEYS], *keys = few, most = KEYS / stride;
    if (forest->no_missing || !isinf(forest->largest)) {
        const int64_t bad = refused(forest, matrix, count * forest->features);
        if (bad >= 0)
            return bad;
    }
    Score *bits = by_bits(forest->bits, count);
    if (bits ? forest->bits->planes * PLANE > (int64_t)sizeof few : most < 1) {
        most = 1;
        keys = malloc(bits ? (size_t)forest->bits->planes * PLANE : (size_t)stride * sizeof *keys);
        if (!keys)
            return -2;
    }
    most = most < BLOCK ? most : BLOCK;
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < forest->width; k++)
            out[i * forest->width + k] = forest->base[k];
    if (bits)
        bits(forest, matrix, count, (char *)keys, out);
    for (int64_t row = 0; !bits && row < count; row += most)
        block(forest, matrix + row * forest->features, count - row < most ? count - row : most, keys,
              out + row * forest->width);
    for (int64_t i = 0; i < count; i++)
        link(forest, out + i * forest->width);
    if (keys != few)
        free(keys);
    return -1;
}

/* What kernel.py must agree with: an editable install can have a library that is older than its Python. */
int64_t everloop_layout(void)
{
    return LAYOUT * 1000 + (int64_t)sizeof(Forest);
}
