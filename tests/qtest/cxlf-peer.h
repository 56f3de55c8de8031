/*
 * Helpers of the CXL fabric's qtests: raw peers of the join protocol
 *
 * The test process plays a member or an owner, well-behaved or hostile.  An
 * owner kills whoever was given a host number and then misbehaves, so
 * whoever gets as far as WELCOME is a child of its own.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_CXLF_PEER_H
#define TESTS_CXLF_PEER_H

#include "cxlf/directory.h"
#include "cxlf/topology-fdt.h"
#include "cxlf/wire.h"

/* Headers that no one may send first, and what is said of each. */
typedef struct PeerBadHeader {
    const char *name;
    struct cxlf_wire_header h;
    const char *text;
} PeerBadHeader;

#define PEER_BAD_HEADERS 13
extern const PeerBadHeader peer_bad_headers[PEER_BAD_HEADERS];

/* peer_connect: a connection to the owner at @path; receives time out. */
int peer_connect(const char *path);
/* peer_listen: a listening socket at @path; peer_accept waits for one. */
int peer_listen(const char *path);
int peer_accept(int listener);

struct cxlf_wire_header peer_header(uint16_t type, uint32_t length);
struct cxlf_wire_join peer_join(void);

/* peer_send: a whole message, with @passed if it is not negative. */
void peer_send(int fd, uint16_t type, const void *payload, size_t length,
               int passed);
/* peer_send_many: the same, with @count descriptors. */
void peer_send_many(int fd, uint16_t type, const void *payload,
                    size_t length, const int *passed, int count);
/* peer_send_raw: whatever; false if the other end has hung up. */
bool peer_send_raw(int fd, const void *data, size_t length);

/*
 * peer_receive: one message; false at the end of the stream.  @passed (may
 * be NULL) gets the descriptor or -1.
 */
bool peer_receive(int fd, struct cxlf_wire_header *h, void *payload,
                  size_t capacity, int *passed);

/* peer_expect_refusal: REFUSE with @text in it, then the end. */
void peer_expect_refusal(int fd, const char *text);
/* peer_expect_end: nothing more, not even a reset. */
void peer_expect_end(int fd);

/*
 * peer_join_as: JOIN, and all that follows up to and without READY.  For
 * children: exits with status 3 if the owner does not welcome.
 * Returns the host number.
 */
int peer_join_as(int fd, int host);

/* A fabric as a raw member has it. */
typedef struct PeerFabric {
    struct cxlf_directory directory;
    const struct cxlf_fabric *table;
    int doorbell[64];       /* of the first host numbers */
} PeerFabric;

/* peer_join_fabric: the same, and map the fabric. */
int peer_join_fabric(int fd, int host, PeerFabric *fabric);
/* peer_welcomed: what follows JOIN; @fabric may be NULL. */
int peer_welcomed(int fd, PeerFabric *fabric);

typedef void (*PeerFunction)(const char *path, const void *data);
/* peer_fork: run @function in a child, which exits with 0 after it. */
pid_t peer_fork(const char *path, PeerFunction function, const void *data);
/*
 * peer_end_quietly: for a child that uses a QEMU which the test will kill:
 * libqtest's abort then ends the child with status 0 and without a word.
 */
void peer_end_quietly(void);
/* peer_wait: its wait status, within a bound. */
int peer_wait(pid_t pid);

/* peer_good_join: a member comes and goes in order. */
void peer_good_join(const char *path);

#endif /* TESTS_CXLF_PEER_H */
