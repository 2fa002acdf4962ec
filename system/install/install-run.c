#include "install-run.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "confd-sources.h"
#include "install-answers.h"
#include "install-questions.h"
#include "install-staging.h"
#include "install-tools.h"
#include "install-write.h"

#define SECTION "maculaos.install."

typedef struct installation {
    const install_options *options;
    mac_root *root;
    mac_boot_running running;
    install_medium *medium;
    install_answers *answers;
    install_disks disks;
    install_disk image;
    const install_disk *disk;
    bool silent; /* nothing is asked */
    bool left;   /* the person left before anything was changed */
} installation;

static void installation_deinit(installation *it) {
    install_answers_free(it->answers);
    install_medium_close(it->medium);
    install_disks_deinit(&it->disks);
    install_disk_deinit(&it->image);
    mac_boot_running_deinit(&it->running);
    mac_root_close(it->root);
}

static bool install_mode(const installation *it) {
    return mac_streq(it->running.mode, "install");
}

/* ---- what is wanted ---- */

static mac_error *set_option(install_answers *answers, const char *option) {
    const char *equals = strchr(option, '=');
    mac_autofree char *key = equals ? mac_strndup(option, (size_t)(equals - option)) : NULL;
    mac_autofree char *path = NULL;
    const ProtobufCFieldDescriptor *field = NULL;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    if (!key)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "--set %s: KEY=VALUE expected", option);
    if (mac_path_resolve(&macula__v1__document__descriptor, key, problems, &path, &field) < 0)
        return mac_error_from_problems(mac_take(&problems));
    mac_autoptr(json_t) literal = json_loads(equals + 1, JSON_DECODE_ANY, NULL);
    mac_error *error = install_answers_set_text(answers, path, equals + 1);
    if (error && literal) {
        mac_error_free(error);
        error = install_answers_set(answers, path, json_incref(literal));
    }
    if (!error)
        return NULL;
    mac_error *full = mac_error_new(error->code, path, "--set %s: %s", key, error->message);
    mac_error_free(error);
    return full;
}

static mac_error *load_answers(installation *it) {
    mac_autofree char *given = mac_root_path(it->root, CONFD_FILE);
    const char *config = it->options->config;
    if (!config && install_mode(it) && access(given, F_OK) == 0)
        config = given;
    mac_error *error = install_answers_load(config, it->root, &it->answers);
    for (size_t i = 0; !error && i < it->options->set.count; i++)
        error = set_option(it->answers, it->options->set.items[i]);
    return error;
}

static mac_error *refused(const char *key, const char *why) {
    mac_autofree char *path = mac_asprintf(SECTION "%s", key);
    return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, path, "%s: %s", path, why);
}

/* Keys of the section that this installer does not follow are refused: passing over one would install something else
 * than was asked for. */
static mac_error *check_section(const Macula__V1__InstallSection *section) {
    static const char medium[] = "nothing is fetched; start from the installation medium, and leave the key out";
    if (section->no_format)
        return refused("no_format", "this installer always makes the partitions anew; leave the key out");
    if (section->config_url)
        return refused("config_url",
                       "nothing is fetched; give the configuration on a medium labelled MACULA-CONF or with --config");
    if (section->iso_url)
        return refused("iso_url", medium);
    if (section->netboot)
        return refused("netboot", medium);
    if (section->self_hosted)
        return refused("self_hosted", medium);
    return NULL;
}

static const Macula__V1__InstallSection *section_of(const Macula__V1__Document *document) {
    static const Macula__V1__InstallSection none = MACULA__V1__INSTALL_SECTION__INIT;
    return document->maculaos && document->maculaos->install ? document->maculaos->install : &none;
}

/* ---- the disk ---- */

/* The device that holds the medium's files; NULL when that is none. */
static char *medium_device(const char *directory) {
    struct stat status;
    if (stat(directory, &status) < 0 || major(status.st_dev) == 0)
        return NULL;
    mac_autofree char *link = mac_asprintf("/sys/dev/block/%u:%u", major(status.st_dev), minor(status.st_dev));
    mac_autofree char *target = realpath(link, NULL);
    const char *name = target ? strrchr(target, '/') : NULL;
    return name ? mac_asprintf("/dev%s", name) : NULL;
}

static mac_error *list_disks(installation *it) {
    mac_autofree char *device = medium_device(it->options->medium);
    return install_disks_list(it->medium ? install_layout_needed(it->medium) : 0, device, &it->disks);
}

static mac_error *choose_disk(installation *it, const Macula__V1__InstallSection *section) {
    const char *wanted = it->options->disk ? it->options->disk : section->device;
    if (it->options->image) {
        mac_error *error = install_disk_image(it->options->image, it->options->dry_run ? 0 : it->options->size,
                                              install_layout_needed(it->medium), &it->image);
        it->disk = error ? NULL : &it->image;
        return error;
    }
    mac_error *error = list_disks(it);
    if (!error && wanted)
        error = install_disks_find(&it->disks, wanted, &it->disk);
    if (!error && !wanted && it->silent)
        error = mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, SECTION "device",
                              "which disk? Name it (macula-install DISK, or maculaos.install.device=…), or say auto");
    return error;
}

/* ---- questions ---- */

static mac_error *left(installation *it) {
    it->left = true;
    return mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, "left; nothing was changed on any disk");
}

static mac_error *ask(installation *it) {
    install_questions questions = {it->answers, &it->disks, it->disk, it->disk != NULL};
    if (it->silent)
        return NULL;
    if (!install_terminal_there())
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL,
                             "this is not a terminal, so nothing can be asked: say --yes and name the disk");
    install_terminal_begin();
    install_terminal_say("MaculaOS %s\n", it->medium->slot.version);
    if (!install_questions_ask(&questions))
        return left(it);
    it->disk = questions.disk;
    return NULL;
}

/* ---- doing it ---- */

static char *boot_settings(const Macula__V1__InstallSection *section) {
    mac_autobuffer args = {0};
    if (section->tty && !mac_streq(section->tty, "auto"))
        mac_buffer_printf(&args, "console=%s%s", section->tty, mac_starts_with(section->tty, "ttyS") ? ",115200" : "");
    if (section->debug)
        mac_buffer_printf(&args, "%sloglevel=7 macula.trace=1", args.length ? " " : "");
    return args.length ? mac_asprintf("set args=\"%s\"\n", args.data) : NULL;
}

/* Everything that can fail before the first write. */
static mac_error *make_ready(installation *it, const Macula__V1__InstallSection *section, install_staging *staging,
                             install_layout **ret_layout) {
    mac_autofree char *settings = boot_settings(section);
    mac_error *error = install_staging_make(staging);
    if (!error)
        error = install_answers_write(it->answers, staging->root, INSTALL_STATE);
    if (!error)
        error = install_medium_prepare(it->medium, settings);
    return error ? error : install_layout_make(it->medium, it->disk->size, staging->directory, ret_layout);
}

static mac_error *write_all(installation *it, const Macula__V1__InstallSection *section, json_t **ret_result) {
    install_autostaging staging = {0};
    mac_autofree install_layout *layout = NULL;
    install_job job = {.fd = -1, .claim = -1, .disk = it->disk, .medium = it->medium};
    mac_error *error = install_disk_open(it->disk, &job.fd, &job.claim);
    if (!error)
        error = make_ready(it, section, &staging, &layout);
    if (!error) {
        job.layout = layout;
        job.staging = staging.tree;
        install_terminal_on_stop(install_write_stop);
        error = install_write_disk(&job);
    }
    mac_close_pointer(&job.claim);
    if (!error) {
        install_disk_reread(job.fd);
        *ret_result =
            json_pack("{s:o, s:s, s:s, s:s}", "disk", install_disk_json(it->disk), "version", it->medium->slot.version,
                      "sha256", it->medium->sha256, "root_hash", it->medium->slot.verity.hash);
    }
    mac_close_pointer(&job.fd);
    return error;
}

/* init ends us, so that nothing is offered on the terminal in the meantime. */
static void restart(const char *program) {
    install_report_step(strcmp(program, "reboot") == 0 ? "Restarting" : "Switching off");
    sync();
    mac_error *error = install_tool((const char *const[]){program, NULL}, NULL);
    if (!error)
        pause();
    else
        fprintf(stderr, "macula-install: %s\n", error->message);
    mac_error_free(error);
}

/* What comes next: as asked for, else in install mode as configured; a person is asked. */
static void finish(const installation *it, bool power_off) {
    if (it->options->reboot || it->options->power_off || (install_mode(it) && it->silent)) {
        restart(it->options->power_off || (!it->options->reboot && power_off) ? "poweroff" : "reboot");
        return;
    }
    if (it->options->image || it->options->json)
        return;
    fprintf(stderr, "Take the medium out and restart: the machine then starts from %s.\n", it->disk->path);
    mac_autofree char *answer = NULL;
    if (install_mode(it) && !it->silent &&
        install_terminal_ask("Enter restarts it now:", false, &answer) == INSTALL_ANSWERED)
        restart("reboot");
}

static void show_plan(const installation *it) {
    mac_autofree char *line = install_questions_disk(it->disk);
    if (it->options->json) {
        mac_autoptr(json_t) plan = json_pack("{s:b, s:o, s:s}", "dry_run", 1, "disk", install_disk_json(it->disk),
                                             "version", it->medium->slot.version);
        mac_autofree char *text = json_dumps(plan, JSON_INDENT(2));
        puts(text);
        return;
    }
    printf("Would erase   %s\nWould install MaculaOS %s. Nothing was changed.\n", line, it->medium->slot.version);
}

static mac_error *dry_run(const installation *it) {
    mac_autofd fd = -1, claim = -1;
    mac_error *error = install_disk_open(it->disk, &fd, &claim);
    if (!error)
        show_plan(it);
    return error;
}

static mac_error *prepare(installation *it) {
    const Macula__V1__Document *document = NULL;
    mac_error *error = install_medium_open(it->options->medium, &it->medium);
    if (!error)
        error = load_answers(it);
    if (!error)
        error = install_answers_resolve(it->answers, &document);
    if (!error)
        error = check_section(section_of(document));
    if (error)
        return error;
    it->silent = it->options->yes || (section_of(document)->silent && !it->options->ask);
    if (it->options->if_silent && !it->silent)
        return mac_error_new(MACULA__V1__ERROR_CODE__NOTHING_TO_DO, NULL, "nothing says that it is to be silent");
    error = choose_disk(it, section_of(document));
    if (!error && !it->options->dry_run)
        error = ask(it);
    if (!error && !it->disk)
        error = mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL, "which disk? Name it");
    return error;
}

static mac_error *install(installation *it) {
    const Macula__V1__Document *document = NULL;
    json_t *result = NULL;
    mac_error *error = prepare(it);
    if (!error)
        error = install_answers_resolve(it->answers, &document);
    if (error)
        return error;
    if (it->options->dry_run)
        return dry_run(it);
    bool power_off = section_of(document)->power_off; /* writing the answers replaces the document */
    mac_autofree char *line = install_questions_disk(it->disk);
    install_report_step("Installing MaculaOS %s to %s", it->medium->slot.version, it->disk->path);
    install_report_log("%s", line);
    error = write_all(it, section_of(document), &result);
    if (error)
        return error;
    install_report_step("MaculaOS %s is installed on %s.", it->medium->slot.version, it->disk->path);
    mac_autofree char *text = json_dumps(result, JSON_INDENT(2));
    json_decref(result);
    if (it->options->json)
        puts(text);
    fflush(stdout);
    finish(it, power_off);
    return NULL;
}

/* ---- list ---- */

static mac_error *list(installation *it) {
    mac_error *none = install_medium_open(it->options->medium, &it->medium);
    mac_error_free(none); /* without the medium nothing is known of the size that is needed */
    mac_error *error = list_disks(it);
    mac_autoptr(json_t) all = json_array();
    for (size_t i = 0; !error && i < it->disks.count; i++) {
        mac_autofree char *line = install_questions_disk(&it->disks.items[i]);
        json_array_append_new(all, install_disk_json(&it->disks.items[i]));
        if (!it->options->json)
            printf("%s%s%s\n", line, it->disks.items[i].refusal ? "\n             not possible: " : "",
                   it->disks.items[i].refusal ? it->disks.items[i].refusal : "");
    }
    mac_autofree char *text = json_dumps(all, JSON_INDENT(2));
    if (!error && it->options->json)
        puts(text);
    return error;
}

int install_run(const install_options *options) {
    __attribute__((cleanup(installation_deinit))) installation it = {.options = options};
    install_report_begin(options->progress);
    mac_error *error = NULL;
    int result = mac_root_open(getenv("MACULA_ROOT"), false, &it.root);
    if (result < 0)
        error = mac_error_from_errno(result, "the root directory cannot be opened");
    if (!error && geteuid() != 0)
        error = mac_error_new(MACULA__V1__ERROR_CODE__DENIED, NULL, "only root may install: try doas macula-install");
    if (!error) {
        (void)mac_boot_running_read(it.root, &it.running);
        error = options->list ? list(&it) : install(&it);
    }
    if (error && error->code == MACULA__V1__ERROR_CODE__NOTHING_TO_DO) {
        mac_error_free(error);
        return 3;
    }
    return error ? install_report_error(error, options->json) : 0;
}
