/* SPDX-License-Identifier: GPL-2.0 */
/* The agent, for the archive that `posada run ROOTFS` makes. AGENT is its file. */
	.section .rodata
	.globl	agent_image, agent_image_end
	.balign	16
agent_image:
	.incbin	AGENT
agent_image_end:
	.section .note.GNU-stack, "", @progbits
