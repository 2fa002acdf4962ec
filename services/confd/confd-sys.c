/* What both implementations of confd-sys.h share. */
#include "confd-sys.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* Largest value of a kernel parameter that is read; /proc/sys gives a page. */
#define SYSCTL_VALUE_MAX 4096u

confd_sys *confd_sys_new(mac_root *root, uv_loop_t *loop) {
    confd_sys *sys = mac_calloc(1, sizeof *sys);
    sys->root = root;
    sys->loop = loop;
    sys->ops = mac_root_is_system(root) ? &confd_sys_linux : &confd_sys_record;
    return sys;
}

static void sys_destroy(confd_sys *sys) {
    mac_strings_deinit(&sys->calls);
    free(sys->fail_prefix);
    free(sys);
}

void confd_sys_free(confd_sys *sys) {
    if (!sys)
        return;
    sys->freed = true;
    if (sys->running == 0)
        sys_destroy(sys);
}

int confd_sys_hostname(confd_sys *sys, char **ret_name) {
    return sys->ops->hostname(sys, ret_name);
}

int confd_sys_set_hostname(confd_sys *sys, const char *name) {
    return sys->ops->set_hostname(sys, name);
}

int confd_sys_sysctl_path(const char *key, char **ret_path) {
    /* sysctl(8): the first separator decides; with slashes a dot belongs to the name (eth0.7). */
    size_t first = strcspn(key, "./");
    char separator = key[first];
    mac_autofree char *path = mac_asprintf("/proc/sys/%s", key);
    char *name = path + strlen("/proc/sys/");
    for (char *c = name; *c; c++) {
        if (*c == separator)
            *c = '/';
        else if (separator == '.' && *c == '/')
            *c = '.'; /* net.ipv4.conf.eth0/7.forwarding */
        else if (!isalnum((unsigned char)*c) && !strchr("._-+:@", *c))
            return -EINVAL;
    }
    for (const char *part = name; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL) {
        size_t length = strcspn(part, "/");
        if (length == 0 || (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.'))
            return -EINVAL;
    }
    *ret_path = mac_take(&path);
    return 0;
}

/* "4\t4\t1\t7\n" → "4 4 1 7" */
static void squeeze(char *text) {
    char *out = text;
    for (const char *c = text; *c; c++) {
        if (!isspace((unsigned char)*c))
            *out++ = *c;
        else if (out > text && out[-1] != ' ')
            *out++ = ' ';
    }
    if (out > text && out[-1] == ' ')
        out--;
    *out = '\0';
}

int confd_sys_sysctl_read(confd_sys *sys, const char *key, char **ret_value) {
    mac_autofree char *path = NULL;
    int r = confd_sys_sysctl_path(key, &path);
    if (r < 0)
        return r;
    char *value = NULL;
    size_t length = 0;
    r = mac_fs_read(sys->root, path, SYSCTL_VALUE_MAX, &value, &length);
    if (r < 0)
        return r == -ENOTDIR ? -ENOENT : r;
    squeeze(value);
    *ret_value = value;
    return 0;
}

int confd_sys_sysctl_write(confd_sys *sys, const char *key, const char *value) {
    mac_autofree char *path = NULL;
    int r = confd_sys_sysctl_path(key, &path);
    return r < 0 ? r : sys->ops->sysctl_write(sys, path, value);
}

/* The kernel spells module names with underscores. */
static char *module_path(const char *name) {
    char *path = mac_asprintf("/sys/module/%s", name);
    for (char *c = path + strlen("/sys/module/"); *c; c++)
        if (*c == '-')
            *c = '_';
    return path;
}

bool confd_sys_module_loaded(confd_sys *sys, const char *name) {
    mac_autofree char *path = module_path(name);
    struct stat st;
    return mac_fs_stat(sys->root, path, &st) == 0;
}

static confd_sys_call *call_new(confd_sys *sys, confd_sys_on_end on_end, void *data, confd_sys_call **ret_call) {
    confd_sys_call *call = mac_calloc(1, sizeof *call);
    call->sys = sys;
    call->on_end = on_end;
    call->data = data;
    sys->running++;
    if (ret_call)
        *ret_call = call;
    return call;
}

void confd_sys_run(confd_sys *sys, const char *const *argv, unsigned timeout_ms, confd_sys_on_end on_end, void *data,
                   confd_sys_call **ret_call) {
    sys->ops->run(sys, argv, timeout_ms, call_new(sys, on_end, data, ret_call));
}

void confd_sys_module_load(confd_sys *sys, const char *name, const char *const *parameters, confd_sys_on_end on_end,
                           void *data, confd_sys_call **ret_call) {
    mac_autostrings argv = {0};
    mac_strings_add(&argv, "modprobe");
    mac_strings_add(&argv, "--");
    mac_strings_add(&argv, name);
    for (; parameters && *parameters; parameters++)
        mac_strings_add(&argv, *parameters);
    confd_sys_call *call = call_new(sys, on_end, data, ret_call);
    call->module = module_path(name);
    sys->ops->run(sys, (const char *const *)argv.items, 30000, call);
}

void confd_sys_cancel(confd_sys_call *call) {
    call->sys->ops->cancel(call);
}

void confd_sys_call_end(confd_sys_call *call, const confd_sys_result *result) {
    confd_sys *sys = call->sys;
    if (call->on_end)
        call->on_end(result, call->data);
    free(call->module);
    free(call);
    if (--sys->running == 0 && sys->freed)
        sys_destroy(sys);
}

static void on_timer_closed(uv_handle_t *handle) {
    confd_sys_call *call = mac_container_of((uv_timer_t *)handle, confd_sys_call, timer);
    confd_sys_result result = {.exit_code = call->exit_code, .missing = call->missing, .output = ""};
    confd_sys_call_end(call, &result);
}

void confd_sys_call_end_later(confd_sys_call *call) {
    uv_timer_init(call->sys->loop, &call->timer);
    uv_close((uv_handle_t *)&call->timer, on_timer_closed);
}

int confd_sys_power(confd_sys *sys, enum confd_power power) {
    return sys->ops->power(sys, power);
}

int confd_sys_set_time(confd_sys *sys, int64_t unix_ms) {
    return sys->ops->set_time(sys, unix_ms);
}

bool confd_sys_is_recording(const confd_sys *sys) {
    return sys->ops == &confd_sys_record;
}

const mac_strings *confd_sys_record_calls(const confd_sys *sys) {
    return &sys->calls;
}

void confd_sys_record_fail(confd_sys *sys, const char *prefix, int exit_code) {
    free(sys->fail_prefix);
    sys->fail_prefix = mac_strdup(prefix);
    sys->fail_code = exit_code;
}
