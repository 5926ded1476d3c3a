// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's debug registers, and a debugger's in their place.
 *
 * DR0-3 are in the CPU, and their use makes no exit, only while the guest uses
 * them, which its first access tells. DR7 is the backend's; and DR6, where the
 * CPU switches it: else it goes with DR0-3.
 */
#include <asm/cpufeature.h>
#include <asm/processor.h>
#include <asm/debugreg.h>
#include "posada.h"

#define POSADA_DR7_ARMED	0xff		/* L0-3, G0-3 */
#define POSADA_DR7_GD		BIT_ULL(13)

void posada_get_dregs(struct posada_vcpu *vcpu, struct posada_dregs *d)
{
	memcpy(d->dr, vcpu->dr.dr, sizeof(d->dr));
	if (vcpu->ops->get_reg(vcpu, POSADA_REG_DR6, &d->dr6))
		d->dr6 = vcpu->dr.dr6;
	if (vcpu->dr.dr7_kept)
		d->dr7 = vcpu->dr.dr7;
	else
		vcpu->ops->get_reg(vcpu, POSADA_REG_DR7, &d->dr7);
}

/* The guest's; the CPU has a debugger's DR7 while there is one. */
static void posada_set_dr67(struct posada_vcpu *vcpu, u64 dr6, u64 dr7)
{
	if (vcpu->ops->set_reg(vcpu, POSADA_REG_DR6, dr6))
		vcpu->dr.dr6 = dr6;
	if (vcpu->debug.flags & POSADA_DEBUG_HARDWARE) {
		vcpu->dr.dr7 = dr7;
		dr7 = POSADA_DR7_FIXED | vcpu->debug.dr7;
	}
	vcpu->ops->set_reg(vcpu, POSADA_REG_DR7, dr7);
}

void posada_set_dregs(struct posada_vcpu *vcpu, const struct posada_dregs *d)
{
	memcpy(vcpu->dr.dr, d->dr, sizeof(d->dr));
	posada_set_dr67(vcpu, d->dr6, d->dr7);
	/* Armed breakpoints must be in the CPU, asked for or not. */
	if (d->dr7 & POSADA_DR7_ARMED)
		posada_use_dregs(vcpu);
}

void posada_use_dregs(struct posada_vcpu *vcpu)
{
	vcpu->dr.wanted = true;
	vcpu->ops->update_debug(vcpu);
}

void posada_update_debug(struct posada_vcpu *vcpu)
{
	bool hardware = vcpu->debug.flags & POSADA_DEBUG_HARDWARE;
	struct posada_dregs d;

	posada_get_dregs(vcpu, &d);
	vcpu->dr.dr7_kept = hardware;
	vcpu->dr.wanted |= hardware;
	posada_set_dr67(vcpu, d.dr6, d.dr7);
	vcpu->ops->update_debug(vcpu);
}

void posada_reset_dregs(struct posada_vcpu *vcpu)
{
	memset(vcpu->dr.dr, 0, sizeof(vcpu->dr.dr));
	vcpu->dr.dr7_kept = false;
	posada_set_dr67(vcpu, DR6_RESERVED, POSADA_DR7_FIXED);
	posada_update_debug(vcpu);
}

void posada_raise_dregs(struct posada_vcpu *vcpu, u64 dr6)
{
	struct posada_dregs d;

	posada_get_dregs(vcpu, &d);
	d.dr6 |= dr6;
	d.dr7 &= ~POSADA_DR7_GD;
	posada_set_dr67(vcpu, d.dr6, d.dr7);
}

void posada_rest_dregs(struct posada_vcpu *vcpu)
{
	struct posada_dregs d;

	posada_get_dregs(vcpu, &d);
	if ((vcpu->debug.flags & POSADA_DEBUG_HARDWARE) ||
	    (d.dr7 & POSADA_DR7_ARMED))
		return;
	vcpu->dr.wanted = false;
	vcpu->ops->update_debug(vcpu);
}
