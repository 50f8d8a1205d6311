/* Running a query to its end and holding the answer as plain arrays. */
#ifndef STORE_ANSWERS_H
#define STORE_ANSWERS_H

#include <math.h>

#include "testing.h"

struct answer_point {
    int64_t time;
    uint8_t type;
    union yd_value value;
};
struct answer_group {
    char name[256], tags[256]; /* tags: aggregateTags, joined by commas */
    uint64_t index;
    struct answer_point *points;
    size_t count, room;
};
struct answer {
    int error;
    struct yd_trail trail;
    struct answer_group *groups;
    size_t count, steps, batches;
};

static inline void answer_take(struct answer *answer, const struct yd_batch *batch)
{
    const struct yd_view *view = &batch->view;
    answer->batches++;
    for (uint32_t i = 0; i < view->count; i++) {
        const struct yd_record *record = &view->records[i];
        struct yd_str name = yd_view_name(view, record->name);
        if (record->kind == YD_FACT) {
            answer->groups = realloc(answer->groups, (answer->count + 1) * sizeof *answer->groups);
            struct answer_group *group = &answer->groups[answer->count++];
            *group = (struct answer_group){0};
            (void)snprintf(group->name, sizeof group->name, "%.*s", YD_STR_FMT(name));
            const struct yd_cell *index = yd_view_find(view, record->value, YD_STR("index"));
            const struct yd_cell *tags = yd_view_find(view, record->value, YD_STR("aggregateTags"));
            assert_true(index && tags && tags->type == YD_LIST && index->type == YD_U64);
            group->index = index->value.u64;
            const struct yd_cells *cells = yd_view_cells(view, tags->value);
            for (uint32_t k = 0; k < cells->count; k++) {
                struct yd_str text = yd_view_bytes(view, cells->cell[k].value);
                size_t at = strlen(group->tags);
                (void)snprintf(group->tags + at, sizeof group->tags - at, "%s%.*s", k ? "," : "", YD_STR_FMT(text));
            }
            continue;
        }
        assert_int_equal(record->kind, YD_SAMPLE);
        assert_true(answer->count > 0);
        struct answer_group *group = &answer->groups[answer->count - 1];
        assert_true(yd_str_eq(name, yd_str_of(group->name)));
        if (group->count == group->room) {
            group->room = group->room ? group->room * 2 : 64;
            group->points = realloc(group->points, group->room * sizeof *group->points);
        }
        assert_true(!group->count || group->points[group->count - 1].time < record->time_ns);
        group->points[group->count++] = (struct answer_point){record->time_ns, record->type, record->value};
    }
}

static inline struct answer answer_of(struct yd_history *history, const struct yd_series_query *query)
{
    struct answer answer = {0};
    struct yd_query_run *run;
    answer.error = yd_query_start(history, query, &run, &answer.trail);
    if (answer.error) return answer;
    int more;
    do {
        struct yd_batch *batch;
        more = yd_query_step(run, &batch, &answer.trail);
        answer.steps++;
        if (batch) answer_take(&answer, batch);
        yd_batch_unref(batch);
    } while (more > 0);
    answer.error = more;
    yd_query_destroy(run);
    return answer;
}

static inline void answer_free(struct answer *answer)
{
    for (size_t i = 0; i < answer->count; i++) free(answer->groups[i].points);
    free(answer->groups);
    *answer = (struct answer){0};
}

static inline const struct answer_group *answer_find(const struct answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->count; i++)
        if (strcmp(answer->groups[i].name, name) == 0) return &answer->groups[i];
    return NULL;
}

static inline double answer_number(const struct answer_point *point)
{
    switch (point->type) {
    case YD_F64:
        return point->value.f64;
    case YD_U64:
        return (double)point->value.u64;
    default:
        return (double)point->value.i64;
    }
}

static inline uint32_t aggregator(const char *name)
{
    uint32_t index;
    assert_int_equal(yd_aggregator_find(yd_str_of(name), &index), 0);
    return index;
}

#endif
