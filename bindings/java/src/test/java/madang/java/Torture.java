package madang.java;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import madang.ClientConfig;
import madang.ClientException;
import madang.StoreLocation;

/** Calls by the hundred thousand, some given up at random, and memory that must not grow: CALLS SEED */
final class Torture {
  /** Steps at whose ends memory is looked at. */
  private static final int STEPS = 10;

  /**
   * Memory of the last step over that of the second: what an allocator may round up. A short run is judged by what no leak of a
   * few hundred bytes a call would keep to: the runtime still warms up.
   */
  private static final int LONG = 1_000_000;
  private static final double GROWTH = 1.02;
  private static final double GROWTH_OF_SHORT = 1.25;

  private Torture() {}

  public static void main(String[] arguments) throws Exception {
    int calls = Integer.parseInt(arguments[0]);
    Random random = new Random(Long.parseLong(arguments[1]));
    long[] sizes = new long[STEPS];
    ClientConfig config = new ClientConfigBuilder("http://127.0.0.1:1", StoreLocation.Memory.INSTANCE).build();
    try (Client client = Client.open(config, fresh -> CompletableFuture.completedFuture("t")).join();
        RoomList rooms = client.rooms().join()) {
      String room = client.createRoom(new NewRoomBuilder("lunch").build()).join();
      for (int step = 0; step < STEPS; step++) {
        int cancelled = 0;
        for (int call = 0; call < calls / STEPS; call++) cancelled += one(client, rooms, room, random);
        System.gc();
        sizes[step] = resident();
        System.out.println((step + 1) * (calls / STEPS) + " calls, " + cancelled + " given up, " + sizes[step] + " KiB");
      }
    }
    Alive.nothing();
    boolean flat = sizes[STEPS - 1] <= sizes[1] * (calls < LONG ? GROWTH_OF_SHORT : GROWTH);
    System.out.println(flat ? "memory is flat" : "memory grows");
    System.exit(flat ? 0 : 1);
  }

  private static int one(Client client, RoomList rooms, String room, Random random) {
    switch (random.nextInt(8)) {
      case 0: client.state(); return 0;
      case 1: client.typing(room); return 0;
      case 2: rooms.items().join(); return 0;
      case 3:
        client.setDraft(room, "draft " + random.nextInt(100)).join();
        client.draft(room).join();
        return 0;
      case 4: refused(client.settled("unknown")); return 0;
      case 5: refused(client.send(room, new DraftBuilder("").build())); return 0;
      case 6: client.outbox().join().close(); return 0;
      default: return giveUp(rooms, random);
    }
  }

  private static void refused(CompletableFuture<?> call) {
    try {
      call.join();
    } catch (CompletionException refusal) {
      if (refusal.getCause() instanceof ClientException) return;
      throw refusal;
    }
    throw new IllegalStateException("it was not refused");
  }

  private static int giveUp(RoomList rooms, Random random) {
    CompletableFuture<?> next = rooms.next();
    if (random.nextBoolean()) Thread.yield();
    return next.cancel(true) ? 1 : 0;
  }

  private static long resident() throws Exception {
    String line = Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(one -> one.startsWith("VmRSS:")).findFirst().orElseThrow();
    return Long.parseLong(line.replaceAll("\\D", ""));
  }
}
