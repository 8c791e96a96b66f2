/* Products of runs of rows of Zᵀ with a vector and back, out += Z (Zᵀ v): what a compiler makes of the plainest loops. */

#include <stdint.h>

static double gathered(const int32_t *texts, const double *counts, int32_t low, int32_t high, const double *v)
{
    double sums[4] = {0.0, 0.0, 0.0, 0.0};  /* no addition waits for the one before */
    int32_t at = low;
    for (; at + 4 <= high; at += 4)
        for (int place = 0; place < 4; place++)
            sums[place] += counts[at + place] * v[texts[at + place]];
    for (; at < high; at++)
        sums[0] += counts[at] * v[texts[at]];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

static void scattered(const int32_t *texts, const double *counts, int32_t low, int32_t high, double weight, double *out)
{
    for (int32_t at = low; at < high; at++)
        out[texts[at]] += counts[at] * weight;
}

/* All rows are gathered, then all scattered: the matrix is read twice. */
void twice(int64_t rows, const int32_t *starts, const int32_t *texts, const double *counts, const double *v, double *u,
           double *out)
{
    for (int64_t row = 0; row < rows; row++)
        u[row] = gathered(texts, counts, starts[row], starts[row + 1], v);
    for (int64_t row = 0; row < rows; row++)
        scattered(texts, counts, starts[row], starts[row + 1], u[row], out);
}

/* Every row is scattered while it is in the cache: the matrix is read from memory once. */
void once(int64_t rows, const int32_t *starts, const int32_t *texts, const double *counts, const double *v, double *u,
          double *out)
{
    for (int64_t row = 0; row < rows; row++) {
        u[row] = gathered(texts, counts, starts[row], starts[row + 1], v);
        scattered(texts, counts, starts[row], starts[row + 1], u[row], out);
    }
}
