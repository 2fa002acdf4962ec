/* One timer does it all: while a step runs it is the deadline; else it is the next turn of the loop, with no delay. */
#include "flow/mac-flow.h"

typedef enum phase {
    PHASE_PENDING, /* the timer will go on with `current` */
    PHASE_WAITING, /* action or undo of `current` was called and has not finished; the timer is its deadline */
    PHASE_ENDED,   /* on_end was called, the timer closes */
} phase;

struct mac_flow {
    const mac_step *steps;
    void *data;
    void (*on_step)(mac_flow *flow, const mac_step *step, bool undoing, void *data);
    void (*on_end)(mac_flow *flow, const mac_error *error, void *data);
    phase phase;
    bool undoing;
    /* Forward: the step to run. Undoing: one more than the next step to undo. */
    size_t current;
    const mac_step *running; /* for its name, while waiting and after */
    mac_error *error;        /* the first */
    uint64_t turn;
    uv_timer_t timer;
};

static void on_timer(uv_timer_t *timer);

static void go_on(mac_flow *flow) {
    flow->phase = PHASE_PENDING;
    uv_timer_start(&flow->timer, on_timer, 0, 0);
}

static void on_closed(uv_handle_t *handle) {
    mac_flow *flow = handle->data;
    mac_error_free(flow->error);
    free(flow);
}

static void end(mac_flow *flow) {
    flow->phase = PHASE_ENDED;
    uv_timer_stop(&flow->timer);
    flow->on_end(flow, flow->error, flow->data);
    uv_close((uv_handle_t *)&flow->timer, on_closed);
}

/* Calls action or undo of a step. The deadline counts from now, not from when the loop last looked at the clock. */
static void run(mac_flow *flow, const mac_step *step, void (*body)(mac_flow *flow, void *data)) {
    bool undoing = flow->undoing;
    flow->running = step;
    flow->turn++;
    if (flow->on_step)
        flow->on_step(flow, step, undoing, flow->data);
    /* on_step may cancel: then the way back is pending already and this action is never called. */
    if (flow->undoing != undoing)
        return;
    flow->phase = PHASE_WAITING;
    if (step->deadline_ms) {
        uv_update_time(flow->timer.loop);
        uv_timer_start(&flow->timer, on_timer, step->deadline_ms, 0);
    }
    body(flow, flow->data);
}

static void run_next_undo(mac_flow *flow) {
    while (flow->current > 0) {
        const mac_step *step = &flow->steps[--flow->current];
        if (step->undo) {
            run(flow, step, step->undo);
            return;
        }
    }
    end(flow);
}

static void on_timer(uv_timer_t *timer) {
    mac_flow *flow = timer->data;
    if (flow->phase == PHASE_WAITING) {
        mac_flow_fail(flow,
                      mac_error_new(MACULA__V1__ERROR_CODE__TIMED_OUT, NULL, "%s%s did not finish within %u ms",
                                    flow->undoing ? "undoing " : "", flow->running->name, flow->running->deadline_ms));
        return;
    }
    if (flow->undoing)
        run_next_undo(flow);
    else if (flow->steps[flow->current].action)
        run(flow, &flow->steps[flow->current], flow->steps[flow->current].action);
    else
        end(flow);
}

mac_flow *mac_flow_start(uv_loop_t *loop, const mac_step *steps, void *data,
                         void (*on_step)(mac_flow *flow, const mac_step *step, bool undoing, void *data),
                         void (*on_end)(mac_flow *flow, const mac_error *error, void *data)) {
    mac_flow *flow = mac_calloc(1, sizeof *flow);
    flow->steps = steps;
    flow->running = steps;
    flow->data = data;
    flow->on_step = on_step;
    flow->on_end = on_end;
    uv_timer_init(loop, &flow->timer);
    flow->timer.data = flow;
    go_on(flow);
    return flow;
}

void mac_flow_next(mac_flow *flow) {
    if (flow->phase != PHASE_WAITING)
        return;
    if (!flow->undoing)
        flow->current++;
    go_on(flow);
}

/* The steps before `current` are finished; the current one counts if its action was started and it wants that. */
static void begin_undo(mac_flow *flow, mac_error *error, bool started) {
    flow->error = error;
    flow->undoing = true;
    if (started && flow->steps[flow->current].undo_partial)
        flow->current++;
    go_on(flow);
}

void mac_flow_fail(mac_flow *flow, mac_error *error) {
    if (flow->phase != PHASE_WAITING) {
        mac_error_free(error);
        return;
    }
    if (!flow->undoing) {
        begin_undo(flow, error, true);
        return;
    }
    if (!flow->error->problems)
        flow->error->problems = mac_problems_new();
    mac_problems_add(flow->error->problems, MAC_PROBLEM_ERROR, NULL, error->path, "%s could not be undone: %s",
                     flow->running->name, error->message);
    mac_error_free(error);
    go_on(flow);
}

void mac_flow_cancel(mac_flow *flow, const char *reason) {
    if (flow->phase == PHASE_ENDED || flow->undoing)
        return;
    mac_error *error = mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, "%s", reason ? reason : "cancelled");
    begin_undo(flow, error, flow->phase == PHASE_WAITING);
}

bool mac_flow_undoing(const mac_flow *flow) {
    return flow->undoing;
}

const char *mac_flow_step(const mac_flow *flow) {
    return flow->running->name;
}

uint64_t mac_flow_turn(const mac_flow *flow) {
    return flow->turn;
}
