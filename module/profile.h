/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where exits come from: profile.c, and what is asked on each exit and entry.
 */
#ifndef POSADA_PROFILE_H
#define POSADA_PROFILE_H

#include "posada.h"

DECLARE_STATIC_KEY_FALSE(posada_profiling);
int __must_check posada_profile_init(struct posada_vcpu *vcpu);
void posada_profile_free(struct posada_vcpu *vcpu);
/* POSADA_PROFILE. Task. */
int posada_profile_read(struct posada_vcpu *vcpu, struct posada_profile *args);
void posada_profile_note_exit(struct posada_vcpu *vcpu);
void posada_profile_note_entry(struct posada_vcpu *vcpu);

/* Irqoff; the exit is decoded, or an entry is next. */
static __always_inline void posada_profile_exit(struct posada_vcpu *vcpu)
{
	if (static_branch_unlikely(&posada_profiling) && vcpu->profile)
		posada_profile_note_exit(vcpu);
}

static __always_inline void posada_profile_entry(struct posada_vcpu *vcpu)
{
	if (static_branch_unlikely(&posada_profiling) && vcpu->profile)
		posada_profile_note_entry(vcpu);
}

#endif /* POSADA_PROFILE_H */
