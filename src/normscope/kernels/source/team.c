/* The threads that run a kernel.

   A kernel takes the numbers of items until none is left, so it does not matter how many threads run
   it, nor when they begin. A call ends when no thread is in the kernel any more.
   Helpers that have not begun by then find the job withdrawn, and nobody waits for them.

   Jobs and helpers lie in tables that live as long as the process, so a helper that comes late may
   look at a job whatever has become of it. Nothing is locked on the way of a call: each job and
   each helper has a word that says how it stands. Helpers know nothing of Python and its locks. */
#define _GNU_SOURCE  /* where threads run is not part of any standard */
#include "team.h"
#include "helper_thread.h"

enum { JOBS = 16, HELPERS = 1023 };
enum { PATIENCE = 200000000 };  /* nanoseconds that helpers have for ending until nobody waits */

/* The word of a job: TAKEN by a caller, OPEN to helpers, a SLEEPER waits for the last one to leave,
   PLACES for so many helpers more, and how many are INSIDE. */
enum { TAKEN = 1, OPEN = 2, SLEEPER = 4, PLACES = 1 << 3, INSIDE = 1 << 14 };

typedef struct {
    _Alignas(64) Word word;
    Kernel *kernel;
    const void *call;
    Range *ranges;  /* of the caller: only those who are inside may look at them */
    Int number;
} Job;

/* The word of a helper. */
enum { NONE, WORKS, LOOKS, SLEEPS, ENDED };

typedef struct {
    _Alignas(64) Word word;
    Word number;
    Thread thread;
    Cores cores;
} Helper;

static Job jobs[JOBS];
static Helper helpers[HELPERS];
static _Alignas(64) Word calls;  /* changes when a job opens: helpers that are awake look at it */
static _Alignas(64) Word made;   /* helpers from here on are NONE */
static Word alive;               /* helpers that are neither NONE nor ENDED */
static Word limit = HELPERS;     /* helpers from here on end */
static Word changing;            /* the lock of those who make and end helpers */
static _Thread_local int is_inside;  /* a kernel */

/* ---- helpers ---- */

/* Go into a job, if it is open and has a place. */
static int enters(Job *job) {
    Word seen = load(&job->word);
    while (seen & OPEN && seen % INSIDE >= PLACES) {
        if (replace(&job->word, seen, seen - PLACES + INSIDE)) return 1;
        seen = load(&job->word);
    }
    return 0;
}

/* Leave a job; the last one wakes a caller that sleeps. */
static void leave(Job *job) {
    Word left = __atomic_sub_fetch(&job->word, INSIDE, __ATOMIC_SEQ_CST);
    if (left < INSIDE && left & SLEEPER) wake(&job->word);
}

/* Help with each job that is open; whether there was one. */
static int helps(Helper *helper) {
    int found = 0;
    for (Job *job = jobs; job < jobs + JOBS; job++) {
        if (!enters(job)) continue;
        store(&helper->word, WORKS);
        Items items = {job->ranges, job->number, (helper->number + 1) % job->number, 0};
        job->kernel(job->call, &items);
        leave(job);
        found = 1;
    }
    return found;
}

/* Sleep until a caller wants help or an end. What came before SLEEPS was written is seen here, and
   who comes later sees SLEEPS. */
static void sleep_until_called(Helper *helper) {
    store(&helper->word, SLEEPS);
    if (helps(helper)) return;
    while (load(&helper->word) == SLEEPS && helper->number < load(&limit)) {
        sleep_while(&helper->word, SLEEPS);
    }
}

static THREAD_FUNCTION help(void *argument) {
    Helper *helper = argument;
    is_inside = 1;
    helper->cores.thread = this_thread();
    while (helper->number < load(&limit)) {
        Word seen = load(&calls);
        store(&helper->word, LOOKS);
        if (helps(helper)) continue;
        if (are_enough(&helper->cores, helper->number + 1) && changes_soon(&calls, seen)) continue;
        sleep_until_called(helper);
    }
    __atomic_sub_fetch(&alive, 1, __ATOMIC_SEQ_CST);
    store(&helper->word, ENDED);
    return THREAD_RESULT;
}

/* ---- how many helpers there are ---- */

static int can_change(void) { return replace(&changing, 0, 1); }

/* Forget helpers that have ended, so that their places are free. */
static void bury(void) {
    Word last = 0;
    for (Word i = 0; i < load(&made); i++) {
        if (load(&helpers[i].word) == ENDED) {
            join_thread(helpers[i].thread);
            store(&helpers[i].word, NONE);
        }
        if (load(&helpers[i].word) != NONE) last = i + 1;
    }
    store(&made, last);
}

/* Make one helper; false: there are no more threads to be had, and fewer do the same work. */
static int make_helper(Word number) {
    Helper *helper = &helpers[number];
    helper->number = number;
    helper->cores = (Cores){0};
    store(&helper->word, LOOKS);
    __atomic_add_fetch(&alive, 1, __ATOMIC_SEQ_CST);
    if (begin_thread(&helper->thread, help, helper)) return 1;
    __atomic_sub_fetch(&alive, 1, __ATOMIC_SEQ_CST);
    store(&helper->word, NONE);
    return 0;
}

#if !defined(_WIN32)
/* A forked process has none of the threads. */
static void forget_all(void) {
    memset(jobs, 0, sizeof jobs);
    memset(helpers, 0, load(&made) * sizeof *helpers);
    made = alive = changing = 0;
    is_inside = 0;
    forget_sleepers();
}
#endif

static void prepare_for_forks(void) {
#if !defined(_WIN32)
    static int is_prepared;
    if (!is_prepared) is_prepared = pthread_atfork(NULL, NULL, forget_all) == 0;
#endif
}

/* Make helpers until there are so many; none if another thread is making or ending some. */
static void make_helpers(Word wanted) {
    if (!can_change()) return;
    prepare_for_forks();
    bury();
    for (Word i = 0; i < wanted; i++) {
        if (load(&helpers[i].word) == NONE && !make_helper(i)) break;
        if (load(&made) <= i) store(&made, i + 1);
    }
    store(&changing, 0);
}

/* Whether there is a helper from this number on that has not ended. */
static int is_any_left(Word number) {
    for (; number < load(&made); number++) {
        Word word = load(&helpers[number].word);
        if (word != NONE && word != ENDED) return 1;
    }
    return 0;
}

void team_limit(Int most_helpers) {
    Int end = nanoseconds() + PATIENCE;
    while (!can_change()) nap();
    store(&limit, (Word)least(most(most_helpers, 0), HELPERS));
    for (Word i = load(&limit); i < load(&made); i++) {
        if (replace(&helpers[i].word, SLEEPS, LOOKS)) wake(&helpers[i].word);
    }
    while (is_any_left(load(&limit)) && nanoseconds() < end) nap();
    bury();
    store(&changing, 0);
}

Int team_helpers(void) { return load(&alive); }

/* ---- callers ---- */

/* When the last job ended. A job that comes soon after it may be one of many, so it is worth waking
   helpers for the next ones: they stay awake in between. */
static Int last_end;

INLINE void note_end(void) { __atomic_store_n(&last_end, nanoseconds(), __ATOMIC_RELAXED); }

INLINE int follows_another(void) {
    return nanoseconds() - __atomic_load_n(&last_end, __ATOMIC_RELAXED) < AWAKE;
}

void team_alone(Kernel *kernel, const void *call, Int items) {
    Range all = {0, 0, items};
    kernel(call, &(Items){&all, 1, 0, 0});
}

/* Find helpers for a job that is open: those that look for one see it, others are woken. */
static void call_helpers(Word wanted, int waking) {
    Cores cores;
    int is_known = 0;
    for (Word i = 0; i < load(&made) && wanted > 0; i++) {
        Helper *helper = &helpers[i];
        Word word = load(&helper->word);
        if (word == LOOKS) wanted--;
        if (word != SLEEPS || !waking || !replace(&helper->word, SLEEPS, LOOKS)) continue;
        if (!is_known) cores = beside_caller();
        is_known = 1;
        place_helper(&helper->cores, &cores);
        wake(&helper->word);
        wanted--;
    }
}

/* Open a job to helpers; NULL: there are as many jobs as there can be. */
static Job *open_job(Kernel *kernel, const void *call, Range *ranges, Int number, Word places) {
    for (Job *job = jobs; job < jobs + JOBS; job++) {
        if (load(&job->word) != 0 || !replace(&job->word, 0, TAKEN)) continue;
        job->kernel = kernel;
        job->call = call;
        job->ranges = ranges;
        job->number = number;
        store(&job->word, TAKEN | OPEN | PLACES * places);
        __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
        return job;
    }
    return NULL;
}

/* Withdraw a job, and wait until nobody is inside. */
static void close_job(Job *job) {
    Word seen = __atomic_and_fetch(&job->word, ~(Word)(INSIDE - 1) | TAKEN, __ATOMIC_SEQ_CST);
    for (; seen >= INSIDE; seen = load(&job->word)) {
        if (changes_soon(&job->word, seen)) continue;
        if (replace(&job->word, seen, seen | SLEEPER)) sleep_while(&job->word, seen | SLEEPER);
    }
    store(&job->word, 0);
}

/* What an OpenMP runtime has, if there is one. */
static void (*fork_call)(void (*)(void *), void *, unsigned, unsigned);
static int (*in_parallel)(void);
static int (*thread_number)(void);
static int (*max_threads)(void);

/* Whether the calling thread is one of several that are at work already. */
static int is_one_of_many(void) { return is_inside || (in_parallel && in_parallel()); }

/* Run a job on threads of the pool. */
static void run_on_pool(Kernel *kernel, const void *call, Int items, Int threads, Int effort) {
    Word wanted = (Word)least(threads - 1, load(&limit));
    int waking = effort != IF_AWAKE || follows_another();
    if (load(&alive) < wanted && waking) make_helpers(wanted);
    Range ranges[MOST_RANGES];
    Int number = least(threads, MOST_RANGES);
    cut_items(ranges, number, items);
    Job *job = open_job(kernel, call, ranges, number, wanted);
    if (job == NULL) {
        team_alone(kernel, call, items);
        return;
    }
    call_helpers(wanted, waking);
    is_inside = 1;
    kernel(call, &(Items){ranges, number, 0, 0});
    is_inside = 0;
    close_job(job);
    note_end();
}

/* ---- the team of an OpenMP runtime ---- */

/* A job of a team that may have more threads than are to work. */
typedef struct {
    Kernel *kernel;
    const void *call;
    Int threads;
    Range *ranges;
    Int number;
    const int *caller;  /* a variable of the calling thread */
    Int ended;          /* when that was through */
    int other;          /* the last thread of the team, as the system knows it */
} Joint;

/* A team ends when each of its threads has come, also one that finds nothing to do. On a busy
   machine this takes up to tens of milliseconds. A team that was late is let alone for so many
   times as long: then at most two hundredths of all time are lost. */
enum { LET_ALONE = 50 };
static Int let_alone_until;

/* A thread of the team that the calling thread makes; 0: there has been none. */
static _Thread_local int team_mate;

static void work_in_team(void *argument) {
    Joint *joint = argument;
    Int own = thread_number();
    if (own < joint->threads)
        joint->kernel(joint->call, &(Items){joint->ranges, joint->number, own % joint->number, 0});
    if (joint->caller == &is_inside) joint->ended = nanoseconds();
    else if (own == joint->threads - 1) joint->other = this_thread();
}

/* The team was late if it made its caller wait for longer than that worked; a last item may take
   as long as all that the caller did. */
static void judge(Int began, Int ended) {
    Int now = nanoseconds();
    if (now - ended < ended - began + AWAKE) return;
    __atomic_store_n(&let_alone_until, now + LET_ALONE * (now - ended), __ATOMIC_RELAXED);
}

/* Whether a team of so many threads is to run a job. A larger one than the runtime makes by itself
   would end some of its threads, or start more for each call. One that sleeps, as far as one of its
   threads tells, comes too late for a job that is not worth waiting. Each calling thread has a team
   of its own: for smaller jobs none is made but that of the first thread of the process, which runs
   the operators of the program as well. */
static int may_join(Int threads, Int effort) {
    if (fork_call == NULL || max_threads() < threads) return 0;
    if (nanoseconds() < __atomic_load_n(&let_alone_until, __ATOMIC_RELAXED)) return 0;
    return effort == WAIT || (team_mate == 0 ? is_first_thread() : is_at_work(team_mate));
}

/* Run a job on the team, with as many threads as its own jobs have. */
static void run_in_team(Kernel *kernel, const void *call, Int items, Int threads) {
    Int began = nanoseconds();
    Range ranges[MOST_RANGES];
    Int number = least(threads, MOST_RANGES);
    cut_items(ranges, number, items);
    Joint joint = {kernel, call, threads, ranges, number, &is_inside, 0, 0};
    fork_call(work_in_team, &joint, 0, 0);
    if (joint.other != 0) team_mate = joint.other;
    judge(began, joint.ended);
    note_end();
}

/* ---- what the engine calls ---- */

static Int all_cores = 1;

void team_cores(Int cores) { all_cores = cores; }

void team_found(void *parallel, void *is_in_parallel, void *number_of_thread, void *most_threads) {
    fork_call = (void (*)(void (*)(void *), void *, unsigned, unsigned))parallel;
    in_parallel = (int (*)(void))is_in_parallel;
    thread_number = (int (*)(void))number_of_thread;
    max_threads = (int (*)(void))most_threads;
}

Int team_number(Int asked) {
    if (asked > 0) return asked;
    Int cores = own_cores(all_cores);
    return max_threads == NULL ? cores : least(cores, max_threads());
}

Int team_joins(Int asked) { return may_join(team_number(asked), WAIT); }

void team_run(Kernel *kernel, const void *call, Int items, Int asked, Int effort) {
    Int number = is_one_of_many() ? 1 : team_number(asked), threads = least(number, items);
    if (threads <= 1) team_alone(kernel, call, items);
    else if (may_join(number, effort)) run_in_team(kernel, call, items, threads);
    else run_on_pool(kernel, call, items, threads, effort);
}
