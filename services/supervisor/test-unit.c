/* A unit for tests: test-unit MODE. It speaks sd_notify(3) as its mode says.
 *   ready      is ready and ends when asked
 *   crash      ends at once with code 3
 *   silent     never says that it is ready
 *   stubborn   is ready and does not end when asked
 *   frozen     is ready and never says that it is alive
 *   impostor   has a child say READY=1 for it: that counts for nothing */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *text) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *address = getenv("NOTIFY_SOCKET");
    if (!address || strlen(address) > sizeof to.sun_path)
        exit(4);
    memcpy(to.sun_path, address, strlen(address));
    to.sun_path[0] = '\0';
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address));
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, size) < 0)
        exit(5);
    close(fd);
}

static volatile sig_atomic_t asked;

static void on_term(int number) {
    (void)number;
    asked = 1;
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    sigset_t term, before;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &before);
    signal(SIGTERM, strcmp(mode, "stubborn") == 0 ? SIG_IGN : on_term);
    printf("server %s realm %s root %s\n", getenv("MACULA_SERVER"), getenv("MACULA_REALM"), getenv("MACULA_ROOT"));
    fflush(stdout);
    if (strcmp(mode, "crash") == 0)
        return 3;
    if (strcmp(mode, "impostor") == 0) {
        pid_t child = fork();
        if (child == 0) {
            say("READY=1");
            _exit(0);
        }
        waitpid(child, NULL, 0);
    } else if (strcmp(mode, "silent") != 0) {
        say("READY=1\nSTATUS=as asked");
    }
    while (!asked)
        sigsuspend(&before);
    return 0;
}
