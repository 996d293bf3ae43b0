/* QEMU plugin: counts the instructions that an emulated program executes between two marks.
 *
 * A mark is a system call that no kernel has, MARK(label): it prints how many instructions were executed since the
 * mark before, and starts anew. Label 0 only starts. Prototypes are those of QEMU's plugin API, version 1, which Debian
 * has no header for. Build: gcc -O2 -shared -fPIC.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#define MARK 9999
#define ADD 0 /* QEMU_PLUGIN_INLINE_ADD_U64 */
#define PUBLIC __attribute__((visibility("default")))

struct block;
typedef void (*block_callback)(uint64_t plugin, struct block *block);
typedef void (*call_callback)(uint64_t plugin, unsigned core, int64_t number, uint64_t a, uint64_t b, uint64_t c,
                              uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h);
size_t qemu_plugin_tb_n_insns(const struct block *block);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t plugin, block_callback callback);
void qemu_plugin_register_vcpu_tb_exec_inline(struct block *block, int operation, void *counter, uint64_t amount);
void qemu_plugin_register_vcpu_syscall_cb(uint64_t plugin, call_callback callback);

PUBLIC int qemu_plugin_version = 1;
static uint64_t executed;

static void translated(uint64_t plugin, struct block *block)
{
    (void)plugin;
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD, &executed, qemu_plugin_tb_n_insns(block));
}

static void called(uint64_t plugin, unsigned core, int64_t number, uint64_t label, uint64_t b, uint64_t c, uint64_t d,
                   uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
    (void)plugin, (void)core, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != MARK)
        return;
    if (label)
        fprintf(stderr, "instructions %" PRIu64 " %" PRIu64 "\n", label, executed);
    executed = 0;
}

PUBLIC int qemu_plugin_install(uint64_t plugin, const void *info, int argc, char **argv)
{
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(plugin, translated);
    qemu_plugin_register_vcpu_syscall_cb(plugin, called);
    return 0;
}
