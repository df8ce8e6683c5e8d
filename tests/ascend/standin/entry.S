# A stub (see stubs.py) jumps here with the name of the function that was called in rax. The
# arguments of any call are laid out as arrays, then standin_KIND(name, integers[6], doubles[8],
# stack) in C++ looks at them and returns the status.
.text
.macro entry kind
.globl standin_\kind\()_entry
standin_\kind\()_entry:
	pushq %rbp
	movq %rsp, %rbp
	subq $112, %rsp
	movq %rdi, 0(%rsp)
	movq %rsi, 8(%rsp)
	movq %rdx, 16(%rsp)
	movq %rcx, 24(%rsp)
	movq %r8, 32(%rsp)
	movq %r9, 40(%rsp)
	movsd %xmm0, 48(%rsp)
	movsd %xmm1, 56(%rsp)
	movsd %xmm2, 64(%rsp)
	movsd %xmm3, 72(%rsp)
	movsd %xmm4, 80(%rsp)
	movsd %xmm5, 88(%rsp)
	movsd %xmm6, 96(%rsp)
	movsd %xmm7, 104(%rsp)
	movq %rax, %rdi
	movq %rsp, %rsi
	leaq 48(%rsp), %rdx
	leaq 16(%rbp), %rcx
	call standin_\kind
	leave
	ret
.endm
entry plan
entry launch
entry other
.section .note.GNU-stack,"",@progbits
