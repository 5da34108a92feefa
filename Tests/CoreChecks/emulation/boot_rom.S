/* The first instructions of the emulated machine, in place of a BIOS: into protected mode, the whole disk image into
 * memory, and on to Linux by its 32-bit boot protocol (Documentation/arch/x86/boot.rst of the kernel).
 *
 * Set when assembling: IMAGE, where the image goes, beginning with the boot parameters; SECTORS, its size; KERNEL,
 * where in memory the kernel then begins.
 */
    .code16
rom:
    cli
    lgdtl %cs:(descriptors_pointer - rom)
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x10, $(0xffff0000 + (protected - rom))

    .code32
protected:
    movw $0x18, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movw %ax, %ss
    movl $0x80000, %esp
    cld
    movl $IMAGE, %edi
    xorl %ebx, %ebx                 /* the next sector */
next_run:                           /* the ATA command READ SECTORS for 256 of them, which the count spells as 0 */
    movw $0x1f2, %dx
    xorb %al, %al
    outb %al, %dx
    movl %ebx, %eax
    incw %dx
    outb %al, %dx
    shrl $8, %eax
    incw %dx
    outb %al, %dx
    shrl $8, %eax
    incw %dx
    outb %al, %dx
    shrl $8, %eax
    orb $0xe0, %al                  /* linear addresses, first disk */
    incw %dx
    outb %al, %dx
    movb $0x20, %al
    incw %dx
    outb %al, %dx
    movl $256, %esi
next_sector:
    movw $0x1f7, %dx
wait_for_data:
    inb %dx, %al
    testb $0x80, %al                /* busy */
    jnz wait_for_data
    testb $0x08, %al                /* data request */
    jz wait_for_data
    movw $0x1f0, %dx
    movl $256, %ecx
    rep insw
    decl %esi
    jnz next_sector
    addl $256, %ebx
    cmpl $SECTORS, %ebx
    jb next_run

    xorl %ebp, %ebp
    xorl %edi, %edi
    xorl %ebx, %ebx
    movl $IMAGE, %esi
    movl $KERNEL, %eax
    jmp *%eax

    .balign 16
descriptors:
    .quad 0, 0
    .quad 0x00cf9b000000ffff        /* 0x10: code, flat */
    .quad 0x00cf93000000ffff        /* 0x18: data, flat */
descriptors_pointer:
    .word 31
    .long 0xffff0000 + (descriptors - rom)

    .org 0xfff0                     /* where a processor starts */
    .code16
    ljmp $0xf000, $0
    .org 0x10000
