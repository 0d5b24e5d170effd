#include "textflag.h"

// func fastStrings() bool
TEXT ·fastStrings(SB), NOSPLIT, $0-1
	XORL  AX, AX
	XORL  CX, CX
	CPUID
	CMPL  AX, $7
	JB    no
	MOVL  $7, AX
	XORL  CX, CX
	CPUID
	BTL   $9, BX
	SETCS ret+0(FP)
	RET
no:
	MOVB  $0, ret+0(FP)
	RET

// func moveBytes(to, from *byte, n int)
TEXT ·moveBytes(SB), NOSPLIT, $0-24
	MOVQ to+0(FP), DI
	MOVQ from+8(FP), SI
	MOVQ n+16(FP), CX
	CLD
	REP
	MOVSB
	RET
