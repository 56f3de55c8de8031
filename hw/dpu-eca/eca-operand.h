/*
 * DPU Edge Coherence Agent: the memory operand of a host instruction
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_OPERAND_H
#define HW_DPU_ECA_OPERAND_H

/*
 * eca_operand: the address that the x86-64 instruction at @pc accesses.
 * @reg: general registers, in the order of their encoding: rax, rcx, ...
 * False for what accesses no memory, and for forms that TCG and compilers do
 * not use for guest memory (string instructions, segments, EVEX).
 */
bool eca_operand(const uint8_t *pc, const uint64_t reg[16],
                 uintptr_t *address);

/*
 * eca_jump_target: where the code at @pc jumps to, after nothing but moves
 * between registers.  NULL if it does something else.
 */
const uint8_t *eca_jump_target(const uint8_t *pc);

/* eca_jumps_to_register: whether that is what the code at @pc does next. */
bool eca_jumps_to_register(const uint8_t *pc);

#endif /* HW_DPU_ECA_OPERAND_H */
