/*
 * DPU Edge Coherence Agent: the memory operand of a host instruction
 *
 * Intel SDM volume 2, chapter 2 (formats) and appendix A (opcode maps).
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "eca-operand.h"

enum { RSP = 4, RBP = 5 };

#define REX_B 1
#define REX_X 2

/* Maps of opcodes: one byte, 0F, 0F 38, 0F 3A. */
enum { ONE_BYTE, TWO_BYTES, MAP_38, MAP_3A };

typedef struct Instruction {
    const uint8_t *modrm;
    unsigned rex;
    unsigned map;
    uint8_t opcode;
} Instruction;

/* A VEX prefix: its registers' bits are inverted. */
static const uint8_t *parse_vex(const uint8_t *at, Instruction *i)
{
    if (at[0] == 0xc5) {
        i->map = TWO_BYTES;
        i->opcode = at[2];
        return at + 3;
    }
    i->rex = (at[1] & 0x20 ? 0 : REX_B) | (at[1] & 0x40 ? 0 : REX_X);
    i->map = at[1] & 0x1f;
    i->opcode = at[3];
    return at + 4;
}

static const uint8_t *parse_opcode(const uint8_t *at, Instruction *i)
{
    i->map = ONE_BYTE;
    i->opcode = *at++;
    if (i->opcode == 0x0f) {
        i->map = TWO_BYTES;
        i->opcode = *at++;
        if (i->opcode == 0x38 || i->opcode == 0x3a) {
            i->map = i->opcode == 0x38 ? MAP_38 : MAP_3A;
            i->opcode = *at++;
        }
    }
    return at;
}

static bool parse(const uint8_t *at, Instruction *i)
{
    /* LOCK, operand size, REP, and segments without effect */
    while (*at == 0xf0 || *at == 0x66 || *at == 0xf2 || *at == 0xf3 ||
           *at == 0x2e || *at == 0x3e) {
        at++;
    }
    i->rex = 0;
    if (*at == 0xc4 || *at == 0xc5) {
        i->modrm = parse_vex(at, i);
        return i->map >= TWO_BYTES && i->map <= MAP_3A;
    }
    if ((*at & 0xf0) == 0x40) {
        i->rex = *at++;
    }
    i->modrm = parse_opcode(at, i);
    return true;
}

/* Whether ModRM follows, and names memory that is accessed. */
static bool has_operand(const Instruction *i)
{
    uint8_t op = i->opcode;

    if (*i->modrm >> 6 == 3) {
        return false;
    }
    switch (i->map) {
    case ONE_BYTE:
        return (op < 0x40 && (op & 7) < 4) || op == 0x63 || op == 0x69 ||
               op == 0x6b || (op >= 0x80 && op <= 0x8b) || op == 0xc0 ||
               op == 0xc1 || op == 0xc6 || op == 0xc7 ||
               (op >= 0xd0 && op <= 0xd3) || op == 0xf6 || op == 0xf7 ||
               op == 0xfe || (op == 0xff && (*i->modrm & 0x30) == 0);
    case TWO_BYTES:
        return (op >= 0x10 && op <= 0x17) || (op >= 0x28 && op <= 0x2f) ||
               (op >= 0x40 && op <= 0x76) || (op >= 0x7c && op <= 0x7f) ||
               (op >= 0x90 && op <= 0x9f) ||
               op == 0xa4 || op == 0xa5 || op == 0xac || op == 0xad ||
               op == 0xaf || op == 0xb0 || op == 0xb1 ||
               (op >= 0xb6 && op <= 0xba) || (op >= 0xbc && op <= 0xc7) ||
               op >= 0xd0;
    default:
        return true;
    }
}

bool eca_operand(const uint8_t *pc, const uint64_t reg[16],
                 uintptr_t *address)
{
    Instruction i;
    const uint8_t *at;
    unsigned mod, base, index;
    uint64_t sum = 0;

    if (!parse(pc, &i) || !has_operand(&i)) {
        return false;
    }
    at = i.modrm;
    mod = *at >> 6;
    base = *at++ & 7;
    if (base == RSP) {              /* a SIB byte follows */
        index = (*at >> 3 & 7) | (i.rex & REX_X ? 8 : 0);
        if (index != RSP) {
            sum += reg[index] << (*at >> 6);
        }
        base = *at++ & 7;
    } else if (base == RBP && mod == 0) {
        return false;               /* relative to the instruction */
    }
    if (base == RBP && mod == 0) {
        mod = 2;                    /* a displacement, and no base */
    } else {
        sum += reg[base | (i.rex & REX_B ? 8 : 0)];
    }
    if (mod == 1) {
        sum += (int8_t)*at;
    } else if (mod == 2) {
        sum += (int32_t)ldl_le_p(at);
    }
    *address = sum;
    return true;
}

const uint8_t *eca_jump_target(const uint8_t *pc)
{
    /* A value of 16 bytes takes at most an exchange or three moves. */
    for (int moves = 0; moves <= 3; moves++) {
        const uint8_t *at = pc;

        if (*at == 0xe9) {
            return at + 5 + (int32_t)ldl_le_p(at + 1);
        }
        if ((*at & 0xf0) == 0x40) {
            at++;
        }
        if (*at == 0x0f && (at[1] == 0xb6 || at[1] == 0xb7 ||
                            at[1] == 0xbe || at[1] == 0xbf)) {
            at += 2;
        } else if (*at == 0x63 || *at == 0x87 || *at == 0x89 ||
                   *at == 0x8b) {
            at++;
        } else {
            return NULL;
        }
        if (*at++ >> 6 != 3) {
            return NULL;
        }
        pc = at;
    }
    return NULL;
}

bool eca_jumps_to_register(const uint8_t *pc)
{
    if ((*pc & 0xf0) == 0x40) {
        pc++;
    }
    return pc[0] == 0xff && (pc[1] & 0xf8) == 0xe0;
}
