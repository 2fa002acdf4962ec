/* What the upgrader decides without touching anything: versions, windows, signatures, releases of a forge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the headers above. */
#include <cmocka.h>

#include "release/mac-release.h"
#include "upgrader-judge.h"
#include "upgrader-manager.h"
#include "upgrader-signature.h"
#include "upgrader-source.h"
#include "upgrader-why.h"
#include "upgrader-window.h"

/* ---- judging ---- */

static Macula__V1__UpgradeFound found_version(const char *version, uint64_t sequence) {
    Macula__V1__UpgradeFound found = MACULA__V1__UPGRADE_FOUND__INIT;
    found.version = (char *)(uintptr_t)version;
    found.sequence = sequence;
    return found;
}

/* The code of the judgement; OK: it may be applied. */
static int judge(upgrader_present present, Macula__V1__UpgradeFound found) {
    mac_autoptr(mac_error) error = upgrader_judge(&present, &found);
    return error ? (int)error->code : MACULA__V1__ERROR_CODE__OK;
}

#define OK MACULA__V1__ERROR_CODE__OK
#define NOTHING MACULA__V1__ERROR_CODE__NOTHING_TO_DO
#define REJECTED MACULA__V1__ERROR_CODE__REJECTED

static void only_higher_versions_are_applied_unless_asked_for(void **state) {
    (void)state;
    upgrader_present present = {.version = "1.2.0"};
    assert_int_equal(judge(present, found_version("1.3.0", 1)), OK);
    assert_int_equal(judge(present, found_version("1.2.0", 1)), NOTHING);
    assert_int_equal(judge(present, found_version("1.2.0+again", 1)), NOTHING);
    assert_int_equal(judge(present, found_version("1.1.9", 1)), NOTHING);
    assert_int_equal(judge(present, found_version("1.2.0-rc.1", 1)), NOTHING);
    present.only = "1.1.9";
    assert_int_equal(judge(present, found_version("1.1.9", 1)), REJECTED);
    assert_int_equal(judge(present, found_version("1.1.8", 1)), REJECTED);
    present.downgrade = true;
    assert_int_equal(judge(present, found_version("1.1.9", 1)), OK);
    upgrader_present forced = {.version = "1.2.0", .force = true};
    assert_int_equal(judge(forced, found_version("1.2.0", 1)), OK);
    upgrader_present developer = {.version = "built-here"};
    assert_int_equal(judge(developer, found_version("0.0.1", 1)), OK);
}

static void an_old_release_is_not_shown_again(void **state) {
    (void)state;
    upgrader_present present = {.version = "1.2.0", .floor = 10};
    assert_int_equal(judge(present, found_version("1.3.0", 10)), OK);
    assert_int_equal(judge(present, found_version("1.3.0", 9)), REJECTED);
    present.downgrade = true;
    assert_int_equal(judge(present, found_version("1.3.0", 9)), OK);
}

static void a_release_must_fit_the_channel_and_be_within_reach(void **state) {
    (void)state;
    upgrader_present present = {.version = "1.2.0"};
    Macula__V1__UpgradeFound found = found_version("2.0.0", 1);
    found.channel = MACULA__V1__UPGRADE_SECTION__CHANNEL__beta;
    assert_int_equal(judge(present, found), REJECTED);
    present.channel = MACULA__V1__UPGRADE_SECTION__CHANNEL__nightly;
    assert_int_equal(judge(present, found), OK);
    found.min_version = (char *)(uintptr_t) "1.5.0";
    assert_int_equal(judge(present, found), REJECTED);
    found.min_version = (char *)(uintptr_t) "1.2.0";
    assert_int_equal(judge(present, found), OK);
}

static void a_version_that_failed_is_not_tried_again_by_itself(void **state) {
    (void)state;
    upgrader_present present = {.version = "1.2.0", .refusal = "it hung"};
    assert_int_equal(judge(present, found_version("1.3.0", 1)), REJECTED);
    present.force = true;
    assert_int_equal(judge(present, found_version("1.3.0", 1)), OK);
}

/* ---- why a version came back ---- */

#define CAUSE(name) MACULA__V1__UPGRADE_OUTCOME__CAUSE__##name

static void expect_why(const char *environment, bool started, Macula__V1__UpgradeOutcome__Cause cause,
                       const char *reason) {
    mac_autorunning running = {0};
    mac_boot_verity verity = {.blocks = 1};
    memset(verity.hash, '7', sizeof verity.hash - 1);
    mac_boot_running_parse(environment, &running);
    upgrader_autowhy why = upgrader_why_returned(&running, 'b', &verity, started);
    assert_int_equal(why.cause, cause);
    assert_non_null(strstr(why.reason, reason));
}

static void what_the_initramfs_has_noted_says_why_a_version_came_back(void **state) {
    (void)state;
    expect_why("trial_slot=b\ntrial_id=7777777777777777\ntrial_stage=system\ntrial_cause=panic\n"
               "trial_text='Kernel panic - it'\\''s over'\n",
               false, CAUSE(panic), "panic: the kernel stopped: Kernel panic - it's over");
    expect_why("trial_slot=b\ntrial_cause=hang\n", true, CAUSE(hang), "hang");
    expect_why("trial_slot=b\ntrial_cause=verity\ntrial_text='data block 7'\n", false, CAUSE(verity), "data block 7");
    expect_why("trial_slot=b\ntrial_cause=start\ntrial_text='no /sbin/init'\n", false, CAUSE(start), "no /sbin/init");
    expect_why("trial_slot=b\ntrial_cause=restart\ntrial_text='by hand'\n", true, CAUSE(restart), "by hand");
}

static void without_a_word_of_why_it_says_how_far_a_version_got(void **state) {
    (void)state;
    expect_why("trial_slot=b\ntrial_stage=initramfs\ntrial_cause=\n", false, CAUSE(unknown), "in its initramfs");
    expect_why("trial_slot=b\ntrial_stage=system\ntrial_cause=nonsense\n", false, CAUSE(unknown),
               "its system was started");
    expect_why("trial_slot=b\ntrial_stage=system\n", true, CAUSE(unknown), "before it was confirmed");
    expect_why("", false, CAUSE(start), "boot loader");
}

static void a_note_of_another_version_says_nothing(void **state) {
    (void)state;
    expect_why("trial_slot=a\ntrial_cause=panic\n", false, CAUSE(start), "boot loader");
    expect_why("trial_slot=b\ntrial_id=7777777777777778\ntrial_cause=panic\n", false, CAUSE(start), "boot loader");
    expect_why("trial_slot=-\ntrial_cause=panic\n", true, CAUSE(unknown), "before it was confirmed");
}

/* ---- windows ---- */

#define AT(day, hour, minute) ((day)*1440u + (hour)*60u + (minute))
enum { MON, TUE, WED, THU, FRI, SAT, SUN };

static void a_window_is_open_when_it_says(void **state) {
    (void)state;
    static const struct {
        const char *window;
        unsigned minute;
        bool open;
    } cases[] = {
        {"", AT(WED, 12, 0), true},
        {"02:00-05:00", AT(MON, 2, 0), true},
        {"02:00-05:00", AT(SUN, 4, 59), true},
        {"02:00-05:00", AT(SUN, 5, 0), false},
        {"22:00-04:00", AT(MON, 3, 0), true},
        {"22:00-04:00", AT(SUN, 23, 0), true},
        {"22:00-04:00", AT(SUN, 12, 0), false},
        {"Mon-Fri 01:30-04:00", AT(FRI, 3, 59), true},
        {"Mon-Fri 01:30-04:00", AT(SAT, 2, 0), false},
        {"Fri-Mon 01:30-04:00", AT(SUN, 2, 0), true},
        {"Fri-Mon 01:30-04:00", AT(TUE, 2, 0), false},
        {"Sat 22:00-Sun 04:00", AT(SUN, 3, 59), true},
        {"Sat 22:00-Sun 04:00", AT(SAT, 21, 59), false},
        {"Sun 22:00-Mon 04:00", AT(MON, 1, 0), true},
        {"Sun 22:00-Mon 04:00", AT(TUE, 1, 0), false},
        {"Sun 02:00-05:00", AT(SUN, 2, 30), true},
        {"Sun 02:00-05:00", AT(MON, 2, 30), false},
        {"Sun 20:00-24:00", AT(SUN, 23, 59), true},
        {"whenever", AT(SUN, 2, 0), false},
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++)
        if (upgrader_window_open(cases[i].window, cases[i].minute) != cases[i].open)
            fail_msg("%s at minute %u of the week", cases[i].window, cases[i].minute);
}

static void the_time_is_that_of_the_zone_that_is_set_now(void **state) {
    (void)state;
    setenv("TZ", "ONE-1", 1);
    unsigned before = upgrader_window_now();
    setenv("TZ", "SIX-6", 1); /* what a change of /etc/localtime is to a process without TZ */
    unsigned passed = (upgrader_window_now() + 7 * 1440u - before) % (7 * 1440u);
    unsetenv("TZ");
    assert_in_range(passed, 5 * 60, 5 * 60 + 1);
}

/* ---- signatures ---- */

#define FPR "17E8E7DA85685379F28CDC356535C1794E48AC01"
#define VALID "[GNUPG:] VALIDSIG " FPR " 2026-11-21 1795276764 0 4 0 22 8 00 " FPR "\n"

static void expect_trust(const char *status, const char *refusal) {
    mac_autofree char *fingerprint = NULL;
    mac_autoptr(mac_error) error = upgrader_signature_read(status, &fingerprint);
    if (!refusal) {
        assert_null(error);
        assert_string_equal(fingerprint, FPR);
    } else if (!error || !strstr(error->message, refusal)) {
        fail_msg("%s expected, found: %s", refusal, error ? error->message : "trusted");
    }
}

static void only_a_good_signature_by_a_known_key_counts(void **state) {
    (void)state;
    expect_trust("[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 65 a@b\n" VALID, NULL);
    expect_trust("", "no signature");
    expect_trust("gpgv: Good signature from \"[GNUPG:] GOODSIG\"\n" VALID, "no signature");
    expect_trust("[GNUPG:] NEWSIG\n[GNUPG:] BADSIG 65 a@b\n", "changed after");
    expect_trust("[GNUPG:] NEWSIG\n[GNUPG:] EXPKEYSIG 65 a@b\n" VALID, "has expired");
    expect_trust("[GNUPG:] NEWSIG\n[GNUPG:] REVKEYSIG 65 a@b\n" VALID, "revoked");
    expect_trust("[GNUPG:] NEWSIG\n[GNUPG:] EXPSIG 65 a@b\n" VALID, "expired");
    expect_trust("[GNUPG:] NEWSIG\n[GNUPG:] ERRSIG 65 22 8 00 1 9 -\n[GNUPG:] NO_PUBKEY 65\n", "does not know the key");
    expect_trust("[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 65 a@b\n[GNUPG:] NEWSIG\n" VALID, "no signature");
}

static void a_second_signature_by_an_unknown_key_does_no_harm_but_a_bad_one_does(void **state) {
    (void)state;
    static const char good[] = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 65 a@b\n" VALID;
    mac_autofree char *unknown =
        mac_asprintf("[GNUPG:] NEWSIG\n[GNUPG:] ERRSIG 66 22 8 00 1 9 -\n[GNUPG:] NO_PUBKEY 66\n%s", good);
    mac_autofree char *bad = mac_asprintf("%s[GNUPG:] NEWSIG\n[GNUPG:] BADSIG 66 c@d\n", good);
    expect_trust(unknown, NULL);
    expect_trust(bad, "changed after");
}

/* ---- a forge ---- */

static const char releases[] =
    "[{\"tag_name\":\"v1.0.0\",\"assets\":[{\"name\":\"release.json\",\"browser_download_url\":\"https://h/1\"}]},"
    "{\"tag_name\":\"v1.2.0\",\"draft\":true},"
    "{\"tag_name\":\"v1.1.0-rc.1\",\"prerelease\":true,\"assets\":[]},"
    "{\"tag_name\":\"v2.0.0-nightly.5\",\"prerelease\":true,\"assets\":[]},"
    "{\"tag_name\":\"weekly\",\"assets\":[]},"
    "{\"tag_name\":\"v0.9.0\",\"assets\":[{\"name\":\"../x\",\"browser_download_url\":\"https://h/2\"},"
    "{\"name\":\"y\",\"browser_download_url\":\"file:///etc/passwd\"},7]}]";

static void expect_release(int channel, const char *tag, size_t assets) {
    upgrader_autoreleases list = {.items = NULL};
    size_t count = 0;
    mac_autoptr(mac_error) error = upgrader_github_list(releases, sizeof releases - 1, channel, &list, &count);
    assert_null(error);
    assert_int_equal(count, 6);
    assert_string_equal(list.items[0].tag, tag);
    assert_int_equal(list.items[0].names.count, assets);
}

static void the_highest_release_that_fits_the_channel_comes_first(void **state) {
    (void)state;
    expect_release(MAC_RELEASE_STABLE, "v1.0.0", 1);
    expect_release(MAC_RELEASE_BETA, "v1.1.0-rc.1", 0);
    expect_release(MAC_RELEASE_NIGHTLY, "v2.0.0-nightly.5", 0);
}

static void the_pages_are_one_list_with_the_highest_version_first(void **state) {
    (void)state;
    static const char low[] = "[{\"tag_name\":\"v0.5.0\",\"assets\":[]}]", high[] = "[{\"tag_name\":\"v3.0.0\"}]";
    upgrader_autoreleases list = {.items = NULL};
    size_t count = 0;
    assert_null(upgrader_github_list(releases, sizeof releases - 1, MAC_RELEASE_STABLE, &list, &count));
    assert_null(upgrader_github_list(low, sizeof low - 1, MAC_RELEASE_STABLE, &list, &count));
    assert_string_equal(list.items[0].tag, "v1.0.0");
    assert_int_equal(list.items[0].names.count, 1);
    assert_null(upgrader_github_list(high, sizeof high - 1, MAC_RELEASE_STABLE, &list, &count));
    assert_string_equal(list.items[0].tag, "v3.0.0");
    assert_int_equal(list.items[0].names.count, 0);
}

static void assets_with_hostile_names_or_places_are_passed_over(void **state) {
    (void)state;
    static const char only[] =
        "[{\"tag_name\":\"0.9.0\",\"assets\":[{\"name\":\"../x\",\"browser_download_url\":\"https://h\"},"
        "{\"name\":\"y\",\"browser_download_url\":\"file:///etc/passwd\"},7,{\"name\":\"z\"}]}]";
    upgrader_autoreleases list = {.items = NULL};
    size_t count = 0;
    assert_null(upgrader_github_list(only, sizeof only - 1, MAC_RELEASE_STABLE, &list, &count));
    assert_int_equal(list.items[0].names.count, 0);
    upgrader_releases_deinit(&list);
    assert_null(upgrader_github_list("[]", 2, MAC_RELEASE_STABLE, &list, &count));
    assert_int_equal(list.count, 0);
    mac_autoptr(mac_error) no_list = upgrader_github_list("{}", 2, MAC_RELEASE_STABLE, &list, &count);
    assert_non_null(no_list);
}

static bool agrees(mac_root *root, const char *chip, int64_t now_s) {
    assert_int_equal(mac_fs_write(root, "/sys/class/rtc/rtc0/since_epoch", chip, strlen(chip), MAC_FS_PRIVATE), 0);
    return upgrader_clock_is_as_the_chip(root, now_s);
}

static void a_clock_is_believed_that_the_chip_agrees_with(void **state) {
    (void)state;
    char directory[] = "/tmp/macula-test-clock-XXXXXX";
    mac_root *root = NULL;
    assert_non_null(mkdtemp(directory));
    assert_int_equal(mac_root_open(directory, false, &root), 0);
    assert_false(upgrader_clock_is_as_the_chip(root, 1800000000)); /* a machine without one */
    assert_int_equal(mac_fs_mkdirs(root, "/sys/class/rtc/rtc0", 0700), 0);
    assert_true(agrees(root, "1800000000\n", 1800000300));
    assert_true(agrees(root, "1800000300\n", 1800000000));
    assert_false(agrees(root, "1800000000\n", 1800000301));
    assert_false(agrees(root, "946684805\n", 1800000000)); /* its battery is empty */
    assert_false(agrees(root, "", 1800000000));
    assert_false(agrees(root, "-99999999999999999999\n", 1800000000));
    mac_autofree char *command = mac_asprintf("rm -r %s", directory);
    assert_int_equal(system(command), 0);
    mac_root_close(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_higher_versions_are_applied_unless_asked_for),
        cmocka_unit_test(an_old_release_is_not_shown_again),
        cmocka_unit_test(a_release_must_fit_the_channel_and_be_within_reach),
        cmocka_unit_test(a_version_that_failed_is_not_tried_again_by_itself),
        cmocka_unit_test(a_window_is_open_when_it_says),
        cmocka_unit_test(the_time_is_that_of_the_zone_that_is_set_now),
        cmocka_unit_test(a_clock_is_believed_that_the_chip_agrees_with),
        cmocka_unit_test(only_a_good_signature_by_a_known_key_counts),
        cmocka_unit_test(a_second_signature_by_an_unknown_key_does_no_harm_but_a_bad_one_does),
        cmocka_unit_test(the_highest_release_that_fits_the_channel_comes_first),
        cmocka_unit_test(what_the_initramfs_has_noted_says_why_a_version_came_back),
        cmocka_unit_test(without_a_word_of_why_it_says_how_far_a_version_got),
        cmocka_unit_test(a_note_of_another_version_says_nothing),
        cmocka_unit_test(the_pages_are_one_list_with_the_highest_version_first),
        cmocka_unit_test(assets_with_hostile_names_or_places_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
