/*
 * Test of the operands of host instructions, against the CPU itself
 *
 * Instructions of every form that is known are made at random, and run on
 * memory that permits no access: the address that the CPU then reports is
 * the one that eca_operand() must find.  Nothing has been changed by an
 * instruction that faults.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <setjmp.h>
#include <sys/ucontext.h>
#include "qemu/bswap.h"
#include "../../hw/dpu-eca/eca-operand.h"

#define ROUNDS      500         /* of each form */
#define CODE_SIZE   4096

/* Memory without access; operands are aligned, as locked ones have to be. */
#define NOWHERE_SIZE (1ull << 34)
#define ALIGN       64

enum { RSP = 4, RBP = 5 };
enum { REX = 0x40, REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };

#define ANY -1

typedef struct Form {
    const char *name;
    uint8_t prefix;             /* before REX, or 0 */
    uint8_t map[2];             /* 0F, 0F 38, 0F 3A, or nothing */
    uint8_t opcode;
    int reg;                    /* of ModRM, if it belongs to the opcode */
    unsigned immediate;         /* bytes */
    unsigned vex;               /* bytes of that prefix, or 0 */
    bool optional;              /* not every CPU has it */
} Form;

#define TWO     { 0x0f }
#define M38     { 0x0f, 0x38 }
#define M3A     { 0x0f, 0x3a }

static const Form forms[] = {
    { "add to byte", 0x00, { 0 }, 0x00, ANY },
    { "or to memory", 0x00, { 0 }, 0x09, ANY },
    { "and from byte", 0x00, { 0 }, 0x22, ANY },
    { "cmp", 0x00, { 0 }, 0x3b, ANY },
    { "locked xor", 0xf0, { 0 }, 0x31, ANY },
    { "movsxd", 0x00, { 0 }, 0x63, ANY },
    { "imul of immediate", 0x00, { 0 }, 0x69, ANY, 4 },
    { "imul of byte", 0x00, { 0 }, 0x6b, ANY, 1 },
    { "add immediate byte", 0x00, { 0 }, 0x80, 0, 1 },
    { "sub immediate", 0x00, { 0 }, 0x81, 5, 4 },
    { "locked or", 0xf0, { 0 }, 0x83, 1, 1 },
    { "test", 0x00, { 0 }, 0x85, ANY },
    { "xchg byte", 0x00, { 0 }, 0x86, ANY },
    { "xchg", 0x00, { 0 }, 0x87, ANY },
    { "store byte", 0x00, { 0 }, 0x88, ANY },
    { "store", 0x00, { 0 }, 0x89, ANY },
    { "load byte", 0x00, { 0 }, 0x8a, ANY },
    { "load", 0x00, { 0 }, 0x8b, ANY },
    { "load short", 0x66, { 0 }, 0x8b, ANY },
    { "shift by immediate", 0x00, { 0 }, 0xc1, 4, 1 },
    { "store immediate byte", 0x00, { 0 }, 0xc6, 0, 1 },
    { "store immediate", 0x00, { 0 }, 0xc7, 0, 4 },
    { "shift by one", 0x00, { 0 }, 0xd1, 5 },
    { "shift by cl", 0x00, { 0 }, 0xd3, 7 },
    { "test immediate", 0x00, { 0 }, 0xf7, 0, 4 },
    { "not", 0x00, { 0 }, 0xf7, 2 },
    { "neg byte", 0x00, { 0 }, 0xf6, 3 },
    { "mul", 0x00, { 0 }, 0xf7, 4 },
    { "inc byte", 0x00, { 0 }, 0xfe, 0 },
    { "dec", 0x00, { 0 }, 0xff, 1 },
    { "movups load", 0x00, TWO, 0x10, ANY },
    { "movups store", 0x00, TWO, 0x11, ANY },
    { "movsd store", 0xf2, TWO, 0x11, ANY },
    { "movhps", 0x00, TWO, 0x16, ANY },
    { "cmov", 0x00, TWO, 0x44, ANY },
    { "movd", 0x66, TWO, 0x6e, ANY },
    { "movdqu load", 0xf3, TWO, 0x6f, ANY },
    { "movdqu store", 0xf3, TWO, 0x7f, ANY },
    { "movq store", 0x66, TWO, 0xd6, ANY },
    { "sete", 0x00, TWO, 0x94, ANY },
    { "shld", 0x00, TWO, 0xa4, ANY, 1 },
    { "imul", 0x00, TWO, 0xaf, ANY },
    { "locked cmpxchg byte", 0xf0, TWO, 0xb0, ANY },
    { "locked cmpxchg", 0xf0, TWO, 0xb1, ANY },
    { "movzx byte", 0x00, TWO, 0xb6, ANY },
    { "movzx short", 0x00, TWO, 0xb7, ANY },
    { "locked bts by immediate", 0xf0, TWO, 0xba, 5, 1 },
    { "movsx byte", 0x00, TWO, 0xbe, ANY },
    { "movsx short", 0x00, TWO, 0xbf, ANY },
    { "locked xadd", 0xf0, TWO, 0xc1, ANY },
    { "movnti", 0x00, TWO, 0xc3, ANY },
    { "locked cmpxchg of a pair", 0xf0, TWO, 0xc7, 1 },
    { "movbe load", 0x00, M38, 0xf0, ANY, 0, 0, true },
    { "movbe store", 0x00, M38, 0xf1, ANY, 0, 0, true },
    { "pinsrb", 0x66, M3A, 0x20, ANY, 1, 0, true },
    { "vmovdqu load", 0xf3, TWO, 0x6f, ANY, 0, 2, true },
    { "vmovdqu store", 0xf3, TWO, 0x7f, ANY, 0, 3, true },
    { "vpinsrb", 0x66, M3A, 0x20, ANY, 1, 3, true },
    { "vpbroadcastb", 0x66, M38, 0x78, ANY, 0, 3, true },
};

static uint8_t *code;
static uint64_t nowhere;
static sigjmp_buf back;
static const uint8_t *at_fault;
static uint64_t reported;
static int signal_number;

static void on_signal(int number, siginfo_t *info, void *opaque)
{
    const ucontext_t *context = opaque;

    signal_number = number;
    at_fault = (const uint8_t *)(uintptr_t)context->uc_mcontext.gregs[REG_RIP];
    reported = (uintptr_t)info->si_addr;
    siglongjmp(back, 1);
}

/* Run what was made; the signal is the way back, also of who has no stack. */
static void run_code(void)
{
    if (!sigsetjmp(back, 1)) {
        ((void (*)(void))code)();
    }
}

static uint64_t random64(void)
{
    return (uint64_t)(uint32_t)g_test_rand_int() << 32 |
           (uint32_t)g_test_rand_int();
}

static unsigned below(unsigned n)
{
    return g_test_rand_int_range(0, n);
}

static uint8_t *put(uint8_t *at, uint64_t value, unsigned bytes)
{
    stn_le_p(at, bytes, value);
    return at + bytes;
}

/* What a random instruction is made of. */
typedef struct Operand {
    unsigned rex;
    uint8_t modrm, sib;
    bool has_sib;
    unsigned displacement;      /* bytes */
    int32_t offset;
    uint64_t reg[16];
    uint64_t address;
} Operand;

/* Registers such that the operand is where nothing is. */
static void place_operand(Operand *o, int base, int index, unsigned scale)
{
    uint64_t target = nowhere + NOWHERE_SIZE / 2 +
                      (random64() % (NOWHERE_SIZE / 4) & -ALIGN);
    uint64_t sum = 0;

    for (int i = 0; i < 16; i++) {
        o->reg[i] = random64();
    }
    if (base >= 0 && base == index) {
        o->reg[base] = (target - o->offset) / ((1 << scale) + 1) & -ALIGN;
    } else if (base >= 0) {
        if (index >= 0) {
            sum = o->reg[index] << scale;
        }
        o->reg[base] = target - o->offset - sum;
    } else if (index >= 0) {
        o->reg[index] = (target - o->offset) >> scale & -ALIGN;
    } else {
        o->offset = below(4096 / ALIGN) * ALIGN;    /* of the first page */
    }
    o->address = o->offset + (base >= 0 ? o->reg[base] : 0) +
                 (index >= 0 ? o->reg[index] << scale : 0);
}

static void make_operand(Operand *o, const Form *form)
{
    unsigned mod = below(3), rm = below(8), scale = below(4);
    int base, index = -1;
    unsigned low;

    memset(o, 0, sizeof(*o));
    o->rex = form->vex == 2 ? below(2) * REX_R : below(16);
    if (form->vex) {
        o->rex &= ~REX_W;
    }
    if (mod == 0 && rm == RBP) {
        mod = 1;                /* or it would be relative to the code */
    }
    low = rm;
    if (rm == RSP) {
        o->has_sib = true;
        o->sib = below(64) | scale << 6;
        low = o->sib & 7;
        index = (o->sib >> 3 & 7) | (o->rex & REX_X ? 8 : 0);
        index = index == RSP ? -1 : index;
    }
    base = low | (o->rex & REX_B ? 8 : 0);
    o->displacement = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    if (o->has_sib && low == RBP && mod == 0) {
        base = -1;
        o->displacement = 4;
    }
    o->offset = o->displacement == 1 ? (int8_t)(random64() & -ALIGN) :
                o->displacement == 4 ? (int32_t)(random64() & -ALIGN) : 0;
    o->modrm = mod << 6 | (form->reg == ANY ? below(8) : form->reg) << 3 | rm;
    place_operand(o, base, index, scale);
}

static uint8_t *put_vex(uint8_t *at, const Form *form, unsigned rex)
{
    unsigned inverted = ~rex;
    unsigned map = form->map[1] == 0x38 ? 2 : form->map[1] == 0x3a ? 3 : 1;
    unsigned tail = 0x78 | (form->prefix == 0x66 ? 1 :
                            form->prefix == 0xf3 ? 2 : 0);

    if (form->vex == 2) {
        at = put(at, 0xc5, 1);
        return put(at, (inverted & REX_R) << 5 | tail, 1);
    }
    at = put(at, 0xc4, 1);
    at = put(at, (inverted & 7) << 5 | map, 1);
    return put(at, tail, 1);
}

static uint8_t *put_instruction(uint8_t *at, const Form *form,
                                const Operand *o)
{
    if (form->vex) {
        at = put_vex(at, form, o->rex);
    } else {
        at = form->prefix ? put(at, form->prefix, 1) : at;
        at = o->rex ? put(at, REX | o->rex, 1) : at;
        for (int i = 0; i < 2 && form->map[i]; i++) {
            at = put(at, form->map[i], 1);
        }
    }
    at = put(at, form->opcode, 1);
    at = put(at, o->modrm, 1);
    at = o->has_sib ? put(at, o->sib, 1) : at;
    at = o->displacement ? put(at, o->offset, o->displacement) : at;
    return form->immediate ? put(at, 1, form->immediate) : at;
}

/* Load the registers, and the instruction; returns where that begins. */
static const uint8_t *make_code(const Form *form, const Operand *o)
{
    uint8_t *at = code, *begin;

    for (int i = 0; i < 16; i++) {
        at = put(at, REX | REX_W | (i >= 8 ? REX_B : 0), 1);
        at = put(at, 0xb8 | (i & 7), 1);
        at = put(at, o->reg[i], 8);
    }
    begin = at;
    at = put_instruction(at, form, o);
    put(at, 0x0b0f, 2);         /* UD2: it must not get here */
    return begin;
}

static void test_form(const void *data)
{
    const Form *form = data;

    for (int i = 0; i < ROUNDS; i++) {
        uintptr_t address = 0;
        const uint8_t *begin;
        Operand o;

        make_operand(&o, form);
        begin = make_code(form, &o);
        run_code();
        if (form->optional && signal_number == SIGILL && at_fault == begin) {
            g_test_skip("this CPU has no such instruction");
            return;
        }
        g_assert_true(at_fault == begin);
        g_assert_cmpint(signal_number, ==, SIGSEGV);
        g_assert_cmphex(reported, ==, o.address);
        g_assert_true(eca_operand(begin, o.reg, &address));
        g_assert_cmphex(address, ==, reported);
    }
}

/* The same forms without memory, or with memory beside the code. */
static void test_none(void)
{
    uintptr_t address;

    for (int i = 0; i < ARRAY_SIZE(forms) * ROUNDS; i++) {
        const Form *form = &forms[i / ROUNDS];
        Operand o;

        make_operand(&o, form);
        o.modrm = i & 1 ? o.modrm | 0xc0 : (o.modrm & 0x38) | RBP;
        o.has_sib = false;
        o.displacement = i & 1 ? 0 : 4;
        g_assert_false(eca_operand(make_code(form, &o), o.reg, &address));
    }
}

/* What other forms mean is not known, so they must be none. */
static void test_others(void)
{
    static const struct {
        const char *name;
        uint8_t code[16];
    } others[] = {
        { "nop", { 0x90 } }, { "ret", { 0xc3 } },
        { "push of memory", { 0xff, 0x30 } },
        { "call of memory", { 0xff, 0x10 } },
        { "lea", { 0x8d, 0x00 } },
        { "movs", { 0xa4 } }, { "rep stos", { 0xf3, 0x48, 0xab } },
        { "mov of a far address", { 0x48, 0xa1, 1, 2, 3, 4, 5, 6, 7, 8 } },
        { "fs segment", { 0x64, 0x8b, 0x00 } },
        { "gs segment", { 0x65, 0x8b, 0x00 } },
        { "address of 32 bits", { 0x67, 0x8b, 0x00 } },
        { "prefetch", { 0x0f, 0x18, 0x00 } },
        { "clflush", { 0x0f, 0xae, 0x38 } },
        { "bt by register", { 0x0f, 0xa3, 0x00 } },
        { "bts by register", { 0xf0, 0x0f, 0xab, 0x00 } },
        { "btr by register", { 0xf0, 0x0f, 0xb3, 0x00 } },
        { "btc by register", { 0xf0, 0x0f, 0xbb, 0x00 } },
        { "EVEX", { 0x62, 0xf1, 0x7c, 0x48, 0x10, 0x00 } },
    };
    uint64_t reg[16] = { 0 };
    uintptr_t address;

    for (int i = 0; i < ARRAY_SIZE(others); i++) {
        g_test_message("%s", others[i].name);
        g_assert_false(eca_operand(others[i].code, reg, &address));
    }
}

/* No bytes are read beyond the 15 that an instruction can have. */
static void test_garbage(void)
{
    uint64_t reg[16] = { 0 };
    uintptr_t address;

    for (int i = 0; i < 1000000; i++) {
        uint8_t *garbage = code + CODE_SIZE - 15;

        stq_le_p(garbage, random64());
        stq_le_p(garbage + 7, random64());
        if (garbage[0] != garbage[1]) {
            eca_operand(garbage, reg, &address);
        }
    }
}

static void test_jumps(void)
{
    static const uint8_t plain[] = { 0xe9, 0x10, 0, 0, 0 };
    static const uint8_t moves[] = {
        0x48, 0x89, 0xc3,               /* mov rbx, rax */
        0x0f, 0xb6, 0xc0,               /* movzx eax, al */
        0xe9, 0xf0, 0xff, 0xff, 0xff,
    };
    static const uint8_t store[] = { 0x48, 0x89, 0x03, 0xe9, 0, 0, 0, 0 };
    static const uint8_t many[] = {
        0x89, 0xc3, 0x89, 0xc3, 0x89, 0xc3, 0x89, 0xc3, 0xe9, 0, 0, 0, 0,
    };
    static const uint8_t to_rax[] = { 0xff, 0xe0 };
    static const uint8_t to_r9[] = { 0x41, 0xff, 0xe1 };
    static const uint8_t to_memory[] = { 0xff, 0x20 };

    g_assert_true(eca_jump_target(plain) == plain + 5 + 16);
    g_assert_true(eca_jump_target(moves) == moves + sizeof(moves) - 16);
    g_assert_null(eca_jump_target(store));
    g_assert_null(eca_jump_target(many));
    g_assert_true(eca_jumps_to_register(to_rax));
    g_assert_true(eca_jumps_to_register(to_r9));
    g_assert_false(eca_jumps_to_register(to_memory));
    g_assert_false(eca_jumps_to_register(plain));
}

static void *reserve(size_t size, int protection)
{
    void *at = mmap(NULL, size, protection,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    g_assert_true(at != MAP_FAILED);
    return at;
}

int main(int argc, char **argv)
{
    struct sigaction action = {
        .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK,
    };
    stack_t stack = { .ss_size = 64 * 1024 };

    g_test_init(&argc, &argv, NULL);
    code = reserve(2 * CODE_SIZE, PROT_NONE);
    g_assert_cmpint(mprotect(code, CODE_SIZE,
                             PROT_READ | PROT_WRITE | PROT_EXEC), ==, 0);
    nowhere = (uintptr_t)reserve(NOWHERE_SIZE, PROT_NONE);
    stack.ss_sp = reserve(stack.ss_size, PROT_READ | PROT_WRITE);
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    for (int i = 0; i < ARRAY_SIZE(forms); i++) {
        g_autofree char *path = g_strdup_printf("/eca/operand/%s",
                                                forms[i].name);

        g_test_add_data_func(path, &forms[i], test_form);
    }
    g_test_add_func("/eca/operand-none", test_none);
    g_test_add_func("/eca/operand-others", test_others);
    g_test_add_func("/eca/operand-garbage", test_garbage);
    g_test_add_func("/eca/jumps", test_jumps);
    return g_test_run();
}
