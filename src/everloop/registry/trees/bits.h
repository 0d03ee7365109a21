/* Scores of many rows without walking, for trees of at most as many leaves as a WORD has bits (after QuickScorer, of
 * Lucchese et al. 2015). A row's leaves of one tree are the bits of a word, from left to right. Every condition that
 * sends the row to the right clears the leaves on its left; the lowest bit that stays is the leaf to which a walk would
 * have come. Nothing depends on where a row has got to, so one instruction serves as many rows as a vector has lanes.
 *
 * kernel.c includes this once for each width of words: WORD and SIGNED are the words, NAMED gives a function its name.
 * For all of them, VECTOR is how many bytes the processor computes with at once, and TARGET the attribute which allows
 * that. It rounds nothing otherwise: only whole numbers are compared side by side, and leaves are added one by one, in
 * the order of the trees, as after a walk.
 */
typedef SIGNED NAMED(Lanes) __attribute__((vector_size(VECTOR), aligned(8), may_alias));
#define EACH ((int)(VECTOR / sizeof(WORD)))
#define ROWS ((int)(PLANE / sizeof(WORD)))

/* Of one feature, for each row how many cuts are below its value: first by every cut that ends a step, since that needs
 * no look-up, then by halving the step. Loops over rows are inside: it is they that become vectors. */
TARGET static void NAMED(rank)(const Ranked *ranked, const int64_t *all, const int64_t *keys, int count, char *planes)
{
    const int64_t *cuts = all + ranked->begin;
    const int64_t step = ranked->step;
    int64_t ranks[ROWS];
    for (int row = 0; row < count; row += MANY * VECTOR / 8) {
        const Keys *mine = (const Keys *)(keys + row);
        Keys steps[MANY] = {{0}};
        for (int64_t end = step - 1; end < ranked->count; end += step)
            for (int i = 0; i < MANY; i++)
                steps[i] += (mine[i] > cuts[end]) & step;
        memcpy(ranks + row, steps, sizeof steps);
    }
    for (int64_t half = step / 2; half; half /= 2)
        for (int row = 0; row < count; row++)
            ranks[row] += cuts[ranks[row] + half - 1] < keys[row] ? half : 0;
    SIGNED *above = (SIGNED *)(planes + ranked->above), *below = (SIGNED *)(planes + ranked->below);
    for (int row = 0; ranked->above >= 0 && row < count; row++)
        above[row] = keys[row] == INT64_MAX ? INT32_MAX : (SIGNED)ranks[row];
    for (int row = 0; ranked->below >= 0 && row < count; row++)
        below[row] = keys[row] == INT64_MAX ? -1 : (SIGNED)ranks[row];
}

TARGET static inline __attribute__((always_inline)) void
NAMED(reach)(const Condition *from, const Condition *to, const char *planes, WORD *words, const int many)
{
    NAMED(Lanes) left[MANY];
    for (int i = 0; i < many; i++)
        left[i] = (NAMED(Lanes)){0} - 1;
    for (const Condition *condition = from; condition < to; condition++) {
        const NAMED(Lanes) *values = (const NAMED(Lanes) *)(planes + condition->plane);
        const NAMED(Lanes) limit = (NAMED(Lanes)){0} + (SIGNED)condition->limit;
        const NAMED(Lanes) keep = (NAMED(Lanes)){0} + (SIGNED)condition->keep;
        for (int i = 0; i < many; i++)
            left[i] &= (values[i] < limit) | keep;
    }
    for (int i = 0; i < many; i++)
        memcpy(words + i * EACH, &left[i], VECTOR);
}

TARGET static void
NAMED(choose)(const Forest *forest, const Condition *condition, const char *planes, WORD *words, int count)
{
    const Node *node = forest->nodes + condition->limit;
    const SIGNED *codes = (const SIGNED *)(planes + condition->plane);
    const uint8_t *ways = forest->ways + forest->sets[node->key];
    const int64_t known = forest->sets[node->key + 1] - forest->sets[node->key];
    const int lost = node->column < forest->features, unknown = (node->flags & UNKNOWN_RIGHT) != 0;
    for (int row = 0; row < count; row++) {
        const int64_t code = codes[row];
        const int way = code >= 0 && code < known ? ways[code] : 0;
        const int right = way ? way == 2 : code == MISSING ? lost : unknown;
        words[row] &= right ? (WORD)condition->keep : (WORD)-1;
    }
}

TARGET static void NAMED(sum)(const Forest *forest, int64_t tree, const WORD *words, int count, double *out)
{
    const int64_t *leaves = forest->bits->leaves + forest->bits->firsts[tree];
    double *sum = out + forest->outputs[tree];
    if (forest->vectors || forest->sums32)
        for (int row = 0; row < count; row++)
            add(forest, tree, leaves[__builtin_ctzll(words[row])], out + row * forest->width);
    else
        for (int row = 0; row < count; row++) {
            double value;
            memcpy(&value, &leaves[__builtin_ctzll(words[row])], sizeof value);
            sum[row * forest->width] += value;
        }
}

TARGET static void NAMED(trees)(const Forest *forest, const char *planes, int count, double *out)
{
    const Bits *bits = forest->bits;
    WORD words[ROWS] __attribute__((aligned(64)));
    for (int64_t tree = 0; tree < forest->trees; tree++) {
        const Condition *from = bits->conditions + bits->starts[2 * tree];
        const Condition *to = bits->conditions + bits->starts[2 * tree + 1];
        const Condition *end = bits->conditions + bits->starts[2 * tree + 2];
        int row = 0;
        for (; row + (MANY - 1) * EACH < count; row += MANY * EACH)
            NAMED(reach)(from, to, planes + row * sizeof(WORD), words + row, MANY);
        for (; row + (SOME - 1) * EACH < count; row += SOME * EACH)
            NAMED(reach)(from, to, planes + row * sizeof(WORD), words + row, SOME);
        for (; row < count; row += EACH)
            NAMED(reach)(from, to, planes + row * sizeof(WORD), words + row, 1);
        for (const Condition *condition = to; condition < end; condition++)
            NAMED(choose)(forest, condition, planes, words, count);
        NAMED(sum)(forest, tree, words, count, out);
    }
}

TARGET static void NAMED(fill)(const Forest *forest, const double *block, int rows, char *planes)
{
    const Bits *bits = forest->bits;
    const int64_t features = forest->features;
    int64_t keys[ROWS] = {0};
    for (int64_t i = 0; i < bits->ranks; i++) {
        const double *column = block + bits->ranked[i].feature;
        for (int row = 0; row < rows; row++)
            keys[row] = key_above(column[row * features]);
        NAMED(rank)(&bits->ranked[i], bits->cuts, keys, rows, planes);
    }
    for (int64_t i = 0; i < bits->codes; i++) {
        SIGNED *codes = (SIGNED *)(planes + bits->coded[i].plane);
        for (int row = 0; row < rows; row++)
            codes[row] = code_of(forest, block[row * features + bits->coded[i].feature]);
    }
}

TARGET static void NAMED(score)(const Forest *forest, const double *matrix, int64_t count, char *planes, double *out)
{
    for (int64_t begin = 0; begin < count; begin += ROWS) {
        const int rows = count - begin < ROWS ? (int)(count - begin) : ROWS;
        NAMED(fill)(forest, matrix + begin * forest->features, rows, planes);
        NAMED(trees)(forest, planes, rows, out + begin * forest->width);
    }
}
#undef EACH
#undef ROWS
#undef NAMED
#undef WORD
#undef SIGNED
