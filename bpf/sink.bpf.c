/* sink: in the network namespace of a sandbox every address is local (AnyIP), and whatever is sent to any port of any
 * of them reaches the sandbox's own sockets. What the sandbox says to itself (127.0.0.0/8, ::1) stays its own.
 * Linux 5.9 and later; see src/sandbox/sink.h. */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "Dual BSD/GPL";

struct {
    __uint(type, BPF_MAP_TYPE_SOCKMAP);
    __uint(max_entries, 3); /* 0 TCP, 1 UDP, 2 DNS */
    __type(key, __u32);
    __type(value, __u64);
} sinks SEC(".maps");

SEC("sk_lookup")
int to_sink(struct bpf_sk_lookup *ctx)
{
    __u32 key = 0;
    if (ctx->family == 2 && (ctx->local_ip4 & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000))
        return SK_PASS;
    if (ctx->family != 2 && !ctx->local_ip6[0] && !ctx->local_ip6[1] && !ctx->local_ip6[2] &&
        ctx->local_ip6[3] == bpf_htonl(1))
        return SK_PASS;
    if (ctx->protocol == 17) {
        if (ctx->remote_port == bpf_htons(53)) /* our own answer on its way back */
            return SK_PASS;
        key = ctx->local_port == 53 ? 2 : 1;
    }
    struct bpf_sock *sk = bpf_map_lookup_elem(&sinks, &key);
    if (!sk)
        return SK_DROP;
    bpf_sk_assign(ctx, sk, 0);
    bpf_sk_release(sk);
    return SK_PASS;
}
