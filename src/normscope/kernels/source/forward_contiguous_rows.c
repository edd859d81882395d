/* The forward kernel for sets that are one run of memory: those of layer or instance normalization.

   It does what forward_rows_normalize does, where the elements of a set lie next to each other in
   all arrays, every element counts, squares are summed, and a set is not larger than a chunk.
   Little is left around the loops over the elements, so that short sets are quick too: sets are
   measured in groups, whose divisions overlap. */
#include "divisors.h"
#include "rows.h"

#define GROUP 8

/* Sets of up to so many elements stay in the nearest cache together. */
#define SHORT 1024

/* What is known of the sets of a group; only those of float64 input have rests and other units. */
typedef struct {
    double s[GROUP], s_rest[GROUP], q[GROUP], q_rest[GROUP], pivot[GROUP], root[GROUP];
    double mean[GROUP], v[GROUP], d[GROUP], unit[GROUP];
    double centre[GROUP], centre_rest[GROUP], factor[GROUP], factor_rest[GROUP];
} __attribute__((aligned(LINE))) Group;

/* The run of a set. */
INLINE Run run_of_set(const ForwardCall *call, Int set) {
    Loop last = innermost(&call->cut);
    Place step = neighbours();
    step.of[SCALE] = last.step.of[SCALE];
    step.of[BIAS] = last.step.of[BIAS];
    return (Run){call, place_of(call, set), step, last.size};
}

/* ---- measuring ------------------------------------------------------------------------------- */

/* Note the sums of set g of a group. */
INLINE void sum_set(Group *group, Int g, const Run *run, int dtype) {
    Shift shift = {1.0, 0.0};
    if (dtype != FLOAT64 && is_around_mean(measure_of(run->call->formula)))
        shift.pivot = pivot_at(element(run, 0, run->call->residual != NULL, dtype));
    Strands strands = {0};
    add_run(&strands, run, shift, VARIANCE, dtype);
    Sums sums = total_of(&strands, (double)run->n, VARIANCE, dtype);
    group->s[g] = sums.s.value;
    group->s_rest[g] = sums.s.rest;
    group->q[g] = sums.q.value;
    group->q_rest[g] = sums.q.rest;
    group->pivot[g] = shift.pivot;
}

/* From the sums to what the output needs: of any input but float64. */
INLINE void divide(Group *group, double n, const Formula *formula) {
    Divisors to = {group->v, group->d, group->centre, group->factor};
    means_and_roots(GROUP, n, group->s, group->q, group->pivot, group->mean, group->root,
                    measure_of(formula));
    find_all_divisors(GROUP, n, group->mean, group->root, formula, to);
}

/* The same of float64 input; whether all sets are ordinary. */
INLINE int divide_exactly(Group *group, double n, const Formula *given) {
    Formula formula = *given;
    Pair share = exact_share_of(n, &formula);
    int measure = measure_of(&formula), odd = 0;
    VECTORIZE
    for (int g = 0; g < GROUP; g++) {
        int measured, divided;
        Sums sums = {n, {group->s[g], group->s_rest[g]}, {group->q[g], group->q_rest[g]}};
        Statistics found = ordinary_statistics(sums, measure, &measured);
        Pair d = ordinary_divisor(found.root, share, &formula, &group->v[g], &divided);
        Pair factor = inverse_of(d);
        group->mean[g] = found.mean.value;
        group->d[g] = d.value;
        group->unit[g] = 1.0;
        group->centre[g] = formula.center != 0.0 ? found.mean.value : 0.0;
        group->centre_rest[g] = formula.center != 0.0 ? found.mean.rest : 0.0;
        group->factor[g] = factor.value;
        group->factor_rest[g] = factor.rest;
        odd |= !(measured & divided);
    }
    return !odd;
}

/* The same of a set near the ends of the range of float64, or whose sums have to be taken again. */
static void measure_alone(Group *group, Int g, const Run *run) {
    const ForwardCall *call = run->call;
    Part whole = {call, run->at, 0, run->n};
    Statistics found = measured_part(&whole, FLOAT64);
    Pair d = exact_divisor(found.n, found.root, call->formula, &group->v[g]);
    Scaling scaling = scaling_of(found.mean, d, call->formula, FLOAT64);
    group->mean[g] = found.mean.value;
    group->d[g] = d.value;
    group->unit[g] = scaling.unit;
    group->centre[g] = scaling.centre.value;
    group->centre_rest[g] = scaling.centre.rest;
    group->factor[g] = scaling.factor.value;
    group->factor_rest[g] = scaling.factor.rest;
}

/* Measure `count` sets from number `first` on. */
INLINE void measure_group(Group *group, const ForwardCall *call, Int first, Int count, int dtype) {
    double n = (double)innermost(&call->cut).size;
    for (Int g = 0; g < count; g++) {
        Run run = run_of_set(call, first + g);
        sum_set(group, g, &run, dtype);
    }
    if (dtype != FLOAT64) {
        divide(group, n, call->formula);
    } else if (!divide_exactly(group, n, call->formula)) {
        for (Int g = 0; g < count; g++) {
            Run run = run_of_set(call, first + g);
            measure_alone(group, g, &run);
        }
    }
    for (Int g = 0; call->statistics != NULL && g < count; g++)
        write_statistics(call, place_of(call, first + g).of[SET], n, group->mean[g], group->v[g],
                         group->d[g]);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* What the output of set g of a group needs. */
INLINE Scaling scaling_in(const Group *group, Int g, int dtype) {
    if (dtype != FLOAT64)
        return (Scaling){1.0, exactly(group->centre[g]), exactly(group->factor[g])};
    return (Scaling){group->unit[g],
                     {group->centre[g], group->centre_rest[g]},
                     {group->factor[g], group->factor_rest[g]}};
}

/* Begin to bring a set into the cache. The processor fetches ahead by itself, but only after it has
   seen a few lines of a sequence; with sets of less than two lines, and with long ones, which crowd
   the nearest cache, nothing was gained. */
INLINE void fetch(const ForwardCall *call, Int set, int dtype) {
    Int bytes = innermost(&call->cut).size * size_of(dtype);
    if (bytes < 128 || bytes > 2048) return;
    const char *x = (const char *)address_of(call->x, place_of(call, set).of[X], dtype);
    for (Int byte = 0; byte < bytes; byte += LINE) __builtin_prefetch(x + byte);
}

/* How many sets that lie in a row get their room in the stream at once. */
INLINE Int sets_in_room(const ForwardCall *call) {
    Int size = innermost(&call->cut).size;
    int in_a_row = call->cut.kept == 1 && call->cut.nest[0].step.of[OUT] == size;
    return in_a_row ? most(1, PIECE / most(1, size)) : 1;
}

/* Write the sets of a group; meanwhile those of the next one, before `stop`, are fetched. */
INLINE void write_group(const Group *group, const ForwardCall *call, Int first, Int count, Int stop,
                        Stream *stream, int dtype) {
    Int together = sets_in_room(call), size = innermost(&call->cut).size;
    Room to = {call->out, 0};
    for (Int g = 0; g < count; g++) {
        Run run = run_of_set(call, first + g);
        if (first + g + GROUP < stop) fetch(call, first + g + GROUP, dtype);
        if (size <= PIECE && g % together == 0)
            to = room(stream, call->out, run.at.of[OUT], 1, size * least(together, count - g),
                      dtype);
        const Room *given = size <= PIECE ? &to : NULL;
        write_pieces(&run, scaling_in(group, g, dtype), stream, given, dtype);
        to.index += size;
    }
}

/* An item is `per_item` sets. */
INLINE void normalize(const ForwardCall *call, Items *items, int dtype) {
    const Cut *cut = &call->cut;
    Int sets = sets_of(cut), most_in_group = innermost(cut).size <= SHORT ? GROUP : 1;
    Group group = {0};
    Stream stream;
    open_stream(&stream, call->streams != 0);
    for (Int item; (item = take(items)) >= 0;) {
        Int stop = least((item + 1) * cut->per_item, sets);
        for (Int first = item * cut->per_item; first < stop; first += most_in_group) {
            Int count = least(most_in_group, stop - first);
            measure_group(&group, call, first, count, dtype);
            write_group(&group, call, first, count, stop, &stream, dtype);
        }
    }
    close_stream(&stream);
}

/* Measure whole statistics sets and write their output while they are in cache. */
EXPORT void forward_contiguous_rows(const void *call, Items *items) {
    FOR_DTYPE(((const ForwardCall *)call)->dtype, normalize, call, items);
}
