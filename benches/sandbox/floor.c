// The floor: what the kernel alone takes to begin and end an isolated process.
//
//   floor ROUNDS   prints one line of JSON: a list of milliseconds for each way of starting a child that ends at once
//
// From the start of the fork until the parent has waited for the child. Control groups are those of version 2 where its
// controllers can be had, else those of version 1 (memory, cpu, pids); the list is empty where neither can be written.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SPACES (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)

static const char *groups[] = {"/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/pids"};
static int group_count;
static int unified;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static pid_t start(unsigned long long flags, int group) {
    struct clone_args arguments = {.flags = flags, .exit_signal = SIGCHLD};
    if (group >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = group;
    }
    return syscall(SYS_clone3, &arguments, sizeof arguments);
}

static int append(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return -1;
    ssize_t written = write(file, text, strlen(text));
    close(file);
    return written < 0 ? -1 : 0;
}

static void find_groups(void) {
    char text[256] = "";
    int file = open("/sys/fs/cgroup/cgroup.controllers", O_RDONLY);
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
        close(file);
        unified = strstr(text, "memory") != NULL;
    }
    if (unified) {
        append("/sys/fs/cgroup/cgroup.subtree_control", "+memory +cpu +pids");
        groups[0] = "/sys/fs/cgroup";
        group_count = access(groups[0], W_OK) == 0;
        return;
    }
    while (group_count < 3 && access(groups[group_count], W_OK) == 0) group_count++;
    if (group_count < 3) group_count = 0;
}

// A child in a control group of its own, which is made before and removed after.
static int grouped(unsigned long long flags) {
    char path[3][256], members[1024], text[32];
    int folder = -1, go[2];
    if (pipe(go)) return -1;
    for (int i = 0; i < group_count; i++) {
        snprintf(path[i], sizeof path[i], "%s/synth-floor-%d", groups[i], getpid());
        if (mkdir(path[i], 0755) && errno != EEXIST) return -1;
    }
    if (unified) folder = open(path[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    pid_t child = start(flags, folder);
    if (child == 0) {
        char byte;
        close(go[1]);
        if (read(go[0], &byte, 1) < 0) _exit(1);
        _exit(0);
    }
    if (child < 0) return -1;
    snprintf(text, sizeof text, "%d", child);
    for (int i = 0; !unified && i < group_count; i++) {
        snprintf(members, sizeof members, "%s/cgroup.procs", path[i]);
        append(members, text);
    }
    close(go[0]);
    close(go[1]);
    waitpid(child, NULL, 0);
    if (folder >= 0) close(folder);
    for (int i = 0; i < group_count; i++) rmdir(path[i]);
    return 0;
}

static int plain(unsigned long long flags) {
    pid_t child = start(flags, -1);
    if (child == 0) _exit(0);
    if (child < 0) return -1;
    waitpid(child, NULL, 0);
    return 0;
}

static void measure(const char *name, int (*way)(unsigned long long), unsigned long long flags, int rounds) {
    printf("\"%s\": [", name);
    for (int round = 0; round < rounds; round++) {
        double begun = now();
        if (way(flags)) {
            fprintf(stderr, "floor: %s: %s\n", name, strerror(errno));
            break;
        }
        printf("%s%.4f", round ? ", " : "", now() - begun);
    }
    printf("]");
}

int main(int count, char **words) {
    int rounds = count > 1 ? atoi(words[1]) : 50;
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    find_groups();
    printf("{\"control groups\": \"%s\", ", group_count == 0 ? "none" : unified ? "v2" : "v1");
    measure("fork", plain, 0, rounds);
    printf(", ");
    measure("namespaces", plain, SPACES, rounds);
    printf(", ");
    measure("namespaces and control group", grouped, SPACES, group_count ? rounds : 0);
    size_t size = 100u << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 1;
    memset(memory, 1, size);
    printf(", ");
    measure("fork of 100 MB", plain, 0, rounds);
    puts("}");
    return 0;
}
