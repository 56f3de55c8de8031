/*
 * cxlfm: the mailbox of a host's switch, from inside of the host
 *
 * Registers: docs/fabric-manager.md, "Switch mailbox".  They are reached by
 * the BAR that the kernel shows in sysfs, since no driver of it has them.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cxlfm.h"

#define DEVICES         "/sys/bus/pci/devices"
#define SWITCH_CCI      "0x0c0b00"  /* class of the function */
#define MAILBOX         2           /* id of the capability */
#define CTRL            0x04
#define CMD             0x08
#define STS             0x10
#define PAYLOAD         0x20

static char *folder;
static volatile uint8_t *bar;
static size_t bar_size, mailbox, room;

/* The only function that is a switch mailbox. */
static char *find_device(void)
{
    g_autoptr(GDir) all = g_dir_open(DEVICES, 0, NULL);
    char *found = NULL;
    const char *name;

    while (all && (name = g_dir_read_name(all))) {
        g_autofree char *path = g_build_filename(DEVICES, name, "class",
                                                 NULL);
        g_autofree char *class = NULL;

        if (!g_file_get_contents(path, &class, NULL, NULL) ||
            !g_str_has_prefix(class, SWITCH_CCI)) {
            continue;
        }
        if (found) {
            fail(EXIT_USAGE, "--mailbox auto: there are several; give the "
                 "PCI address of one, such as %s", name);
        }
        found = g_build_filename(DEVICES, name, NULL);
    }
    if (!found) {
        fail(EXIT_NOT_DONE, "--mailbox auto: no PCI function of class %s in "
             DEVICES "; the emulator needs -device cxl-pbr-mailbox",
             SWITCH_CCI);
    }
    return found;
}

static void enable(void)
{
    g_autofree char *path = g_build_filename(folder, "enable", NULL);
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, "1", 1) != 1) {
        fail(EXIT_NOT_DONE, "--mailbox: %s: %s", path, strerror(errno));
    }
    close(fd);
}

/* One program at a time uses it; the lock ends with the process. */
static void lock(int fd, const char *path)
{
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            fail(EXIT_NOT_DONE, "--mailbox: %s: %s", path, strerror(errno));
        }
        if (is_late()) {
            fail(EXIT_LATE, "--timeout: another program has the mailbox");
        }
        g_usleep(10000);
    }
}

static uint32_t get32(size_t at)
{
    return *(volatile uint32_t *)(bar + at);
}

static uint64_t get64(size_t at)
{
    return *(volatile uint64_t *)(bar + at);
}

static void find_mailbox(const char *path)
{
    unsigned many = get64(0) >> 32 & 0xffff;

    for (size_t at = 0x10; many && at + 0x10 <= bar_size; many--, at += 0x10) {
        if ((get32(at) & 0xffff) != MAILBOX) {
            continue;
        }
        mailbox = get32(at + 4);
        if (mailbox % 8 || mailbox > bar_size || bar_size - mailbox < PAYLOAD) {
            break;
        }
        room = 1ul << (get32(mailbox) & 0x1f);
        if (room > bar_size - mailbox - PAYLOAD) {
            break;
        }
        return;
    }
    fail(EXIT_NOT_DONE, "--mailbox: %s has no mailbox", path);
}

void mailbox_open(const Options *options)
{
    g_autofree char *path = NULL;
    struct stat st;
    void *map;
    int fd;

    folder = !strcmp(options->mailbox, "auto") ? find_device() :
             strchr(options->mailbox, '/') ? g_strdup(options->mailbox) :
             g_build_filename(DEVICES, options->mailbox, NULL);
    enable();
    path = g_build_filename(folder, "resource0", NULL);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        fail(EXIT_NOT_DONE, "--mailbox: %s: %s", path, strerror(errno));
    }
    lock(fd, path);
    bar_size = st.st_size;
    map = mmap(NULL, bar_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        fail(EXIT_NOT_DONE, "--mailbox: %s: %s", path, strerror(errno));
    }
    bar = map;
    find_mailbox(path);
}

static void wait_for_doorbell(const char *what)
{
    while (get32(mailbox + CTRL) & 1) {
        if (is_late()) {
            fail(EXIT_LATE, "--timeout: %s: the mailbox did not answer", what);
        }
        g_usleep(1000);
    }
}

void mailbox_send(unsigned opcode, const GByteArray *in, Answer *a)
{
    volatile uint64_t *payload = (void *)(bar + mailbox + PAYLOAD);

    if (in->len > room) {
        fail(EXIT_USAGE, "%s: a payload of %u bytes; the mailbox takes %zu",
             a->what, in->len, room);
    }
    wait_for_doorbell(a->what);
    for (size_t i = 0; i < in->len; i += 8) {
        uint64_t word = 0;

        memcpy(&word, in->data + i, MIN(8, in->len - i));
        payload[i / 8] = word;
    }
    *(volatile uint64_t *)(bar + mailbox + CMD) =
        opcode | (uint64_t)in->len << 16;
    *(volatile uint32_t *)(bar + mailbox + CTRL) = 1;
    wait_for_doorbell(a->what);
    a->code = get64(mailbox + STS) >> 32 & 0xffff;
    a->background = get64(mailbox + STS) & 1;
    a->length = get64(mailbox + CMD) >> 16 & 0x1fffff;
    if (a->length > room) {
        fail(EXIT_NOT_DONE, "%s: an answer of %zu bytes in a mailbox of %zu",
             a->what, a->length, room);
    }
    a->bytes = g_malloc(a->length + 8);
    for (size_t i = 0; i < a->length; i += 8) {
        uint64_t word = payload[i / 8];

        memcpy(a->bytes + i, &word, 8);
    }
}
