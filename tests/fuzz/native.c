/* Any bytes from a client: HELLO, then what the fuzzer says, as it is or as frames whose sizes fit. Nothing may crash,
 * nothing may stay behind, and another connection is served. */
#include "../unit/serve/native_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *world = world_create(5);
    world_start(world);
    struct client *client = client_open(world), *good = client_open(world);
    (void)client_stream(client, "s");
    if (size > 0 && data[0] & 1) {
        client_raw(client, data + 1, size - 1);
    } else if (size > 0) { /* frames: type, body size in 8 bytes, body */
        for (size_t at = 1; at + 2 <= size;) {
            size_t body = YD_MIN((size_t)data[at + 1] * 8, size - at - 2);
            client_send(client, data[at] % 64, 3, data + at + 2, body, (struct yd_str){0});
            at += 2 + body;
        }
    }
    world_run(world, YD_NS_PER_S);
    client_send(good, YD_MSG_PING, 5, NULL, 0, (struct yd_str){0});
    if (client_next(good) != YD_MSG_PONG) abort();
    client_close(client);
    world_run(world, 60 * YD_NS_PER_S);
    struct yd_native_stat stat;
    yd_native_stat(world->native, &stat);
    if (stat.connections > 1 || stat.receiving_bytes || stat.subscriptions) abort();
    world_destroy(world);
    return 0;
}
