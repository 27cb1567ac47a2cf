package madang.java;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import madang.ClientConfig;
import madang.ClientErrorKind;
import madang.ClientErrors;
import madang.ClientException;
import madang.Draft;
import madang.LiveObjects;
import madang.LogLevel;
import madang.LogLine;
import madang.MadangKt;
import madang.RoomItem;
import madang.SignInNeededException;
import madang.StoreLocation;
import madang.WaitingChange;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What hosts hand over that is wrong, and when: without a server. */
@Timeout(30)
class BoundaryTest {
  private static final TokenSource TOKENS = fresh -> CompletableFuture.completedFuture("t");

  /** Nobody listens at port 1. */
  private static Client open(TokenSource tokens) {
    ClientConfig config = new ClientConfigBuilder("http://127.0.0.1:1", StoreLocation.Memory.INSTANCE).build();
    return Client.open(config, tokens).join();
  }

  private static String room(Client client) {
    return client.createRoom(new NewRoomBuilder("lunch").build()).join();
  }

  private static Draft draft(String text) {
    return new DraftBuilder(text).build();
  }

  private static List<String> waiting(Client client) {
    try (OutboxList outbox = client.outbox().join()) {
      return outbox.items().join().stream().map(WaitingChange::getText).collect(Collectors.toList());
    }
  }

  private static <E extends Throwable> E refused(Class<E> kind, CompletableFuture<?> call) {
    return assertInstanceOf(kind, assertThrows(CompletionException.class, call::join).getCause());
  }

  private static ClientErrorKind kind(CompletableFuture<?> call) {
    return ClientErrors.getKind(refused(ClientException.class, call));
  }

  @Test
  void nullIsRefused() {
    assertThrows(NullPointerException.class, () -> Client.open(null, TOKENS));
    assertThrows(NullPointerException.class, () -> new DraftBuilder(null));
    try (Client client = open(TOKENS)) {
      assertThrows(NullPointerException.class, () -> client.send(null, draft("x")));
      assertThrows(NullPointerException.class, () -> client.send("r", null));
      refused(NullPointerException.class, client.invite("r", Arrays.asList((String) null)));
    }
  }

  @Test
  void badTextsAreRefusedAndNothingIsKept() {
    try (Client client = open(TOKENS)) {
      String room = room(client);
      refused(CharacterCodingException.class, client.send(room, draft("half \ud83d")));
      refused(CharacterCodingException.class, client.setDraft(room, "\udc00"));
      assertEquals(ClientErrorKind.INVALID, kind(client.send(room, draft("x".repeat(10 << 20)))));
      assertEquals(1, waiting(client).size());
      client.setDraft(room, "a\0b").join();
      assertEquals("a\0b", client.draft(room).join());
    }
  }

  @Test
  void durationsAndPagesHaveTheirBounds() {
    try (Client client = open(TOKENS); Timeline timeline = client.timeline(room(client)).join()) {
      refused(IllegalArgumentException.class, client.drain(Duration.ofSeconds(-1)));
      assertEquals(ClientErrorKind.INVALID, kind(timeline.loadOlder(-1)));
    }
  }

  @Test
  void afterCloseACallFailsAndDuringOneItEnds() {
    Client client = open(TOKENS);
    room(client);
    CompletableFuture<Boolean> drained = client.drain(Duration.ofMillis(300));
    client.close();
    client.close();
    assertFalse(drained.join());
    assertThrows(IllegalStateException.class, client::state);
    refused(IllegalStateException.class, client.send("r", draft("x")));
  }

  @Test
  void whatIsTypedLeavesInTheOrderOfTheCallsAlsoWhenNobodyWaits() {
    try (Client client = open(TOKENS)) {
      String room = room(client);
      List<String> texts = IntStream.range(0, 100).mapToObj(number -> "number " + number).collect(Collectors.toList());
      texts.forEach(text -> client.send(room, draft(text)).cancel(true));
      client.send(room, draft("last")).join();
      texts.add("last");
      assertEquals(texts, waiting(client).subList(1, 102));
    }
  }

  @Test
  void aWaitThatIsGivenUpEndsAndTheNextGetsWhatComes() {
    try (Client client = open(TOKENS); RoomList rooms = client.rooms().join()) {
      for (int round = 0; round < 50; round++) assertTrue(rooms.next().cancel(true));
      CompletableFuture<?> next = rooms.next();
      room(client);
      assertEquals(1, ((List<?>) next.join()).size());
      CompletableFuture<?> last = rooms.next();
      assertEquals(1, rooms.total().join());
      rooms.stop();
      assertEquals(null, last.join());
    }
  }

  @Test
  void aSourceOfTokensMayThrowAndFailAndGiveNothing() {
    List<TokenSource> bad = List.of(
        fresh -> { throw new IllegalStateException("no token today"); },
        fresh -> CompletableFuture.failedFuture(new IllegalStateException("no token today")),
        fresh -> CompletableFuture.supplyAsync(() -> { throw new IllegalStateException("no token today"); }),
        fresh -> CompletableFuture.completedFuture(null),
        fresh -> null,
        fresh -> CompletableFuture.completedFuture("\ud83d"));
    for (TokenSource source : bad) {
      try (Client client = open(source)) {
        assertEquals(ClientErrorKind.OFFLINE, kind(client.searchUsers("a")));
      }
    }
    TokenSource signedOut = fresh -> CompletableFuture.failedFuture(new SignInNeededException("again"));
    try (Client client = open(signedOut)) {
      assertEquals(ClientErrorKind.UNAUTHENTICATED, kind(client.searchUsers("a")));
    }
  }

  @Test
  void aSourceOfTokensThatBlocksBlocksNobodyElse() throws Exception {
    CountDownLatch over = new CountDownLatch(1);
    TokenSource blocking = fresh -> {
      over.await();
      return CompletableFuture.completedFuture("t");
    };
    try (Client client = open(blocking)) {
      String room = room(client);
      for (int number = 0; number < 50; number++) client.send(room, draft("x")).get(1, TimeUnit.SECONDS);
    } finally {
      over.countDown();
    }
  }

  @Test
  void noAnswerComesOnAThreadOfTheLibrary() {
    try (Client client = open(TOKENS); RoomList rooms = client.rooms().join()) {
      CompletableFuture<String> thread = rooms.next().thenApply(changes -> Thread.currentThread().getName());
      room(client);
      assertTrue(thread.join().startsWith("DefaultDispatcher"), thread.join());
    }
  }

  /** Asks for one at a time, when it is told to. */
  private static final class Slow<T> implements Flow.Subscriber<T> {
    final LinkedBlockingQueue<T> taken = new LinkedBlockingQueue<>();
    final CompletableFuture<Flow.Subscription> subscription = new CompletableFuture<>();
    final CompletableFuture<Void> ended = new CompletableFuture<>();

    @Override
    public void onSubscribe(Flow.Subscription given) {
      subscription.complete(given);
    }

    @Override
    public void onNext(T item) {
      taken.add(item);
    }

    @Override
    public void onError(Throwable failure) {
      ended.completeExceptionally(failure);
    }

    @Override
    public void onComplete() {
      ended.complete(null);
    }
  }

  @Test
  void aPublisherGivesWhatIsAskedForAndNoMore() throws Exception {
    try (Client client = open(TOKENS); RoomList rooms = client.rooms().join()) {
      Slow<List<RoomItem>> slow = new Slow<>();
      rooms.snapshots().subscribe(slow);
      Thread.sleep(100);
      assertEquals(0, slow.taken.size(), "nothing was asked for");
      slow.subscription.join().request(1);
      assertEquals(List.of(), slow.taken.poll(5, TimeUnit.SECONDS));
      for (int number = 0; number < 30; number++) room(client);
      Thread.sleep(200);
      assertEquals(0, slow.taken.size(), "one was asked for");
      List<RoomItem> shown = new ArrayList<>();
      while (shown.size() < 30) {
        slow.subscription.join().request(1);
        shown = slow.taken.poll(5, TimeUnit.SECONDS);
      }
      client.shutdown(Duration.ZERO).join();
      slow.subscription.join().request(10);
      slow.ended.get(5, TimeUnit.SECONDS);
    }
  }

  @Test
  void aSubscriptionThatIsCancelledEndsItsWait() throws Exception {
    try (Client client = open(TOKENS); RoomList rooms = client.rooms().join()) {
      Slow<Object> slow = new Slow<>();
      ((Flow.Publisher<?>) rooms.changes()).subscribe(slow);
      slow.subscription.join().request(Long.MAX_VALUE);
      room(client);
      slow.taken.poll(5, TimeUnit.SECONDS);
      long calls = madang.MadangKt.liveObjects().getCalls();
      slow.subscription.join().cancel();
      while (madang.MadangKt.liveObjects().getCalls() >= calls && calls > 0) Thread.sleep(10);
    }
  }

  @Test
  void aPublisherOfWhatIsClosedEnds() throws Exception {
    try (Client client = open(TOKENS)) {
      ConnectionStates states = client.states();
      Slow<Object> slow = new Slow<>();
      ((Flow.Publisher<?>) states.changes()).subscribe(slow);
      slow.subscription.join().request(1);
      slow.taken.poll(5, TimeUnit.SECONDS);
      states.close();
      slow.subscription.join().request(1);
      slow.ended.get(5, TimeUnit.SECONDS);
    }
  }

  @Test
  void theLogReachesTheSink() throws Exception {
    LinkedBlockingQueue<LogLine> lines = new LinkedBlockingQueue<>();
    assertTrue(MadangKt.setLogSink(LogLevel.WARN, lines::add));
    // What the log tells of for sure: a file that is no store, and is set aside.
    Path store = Files.createTempDirectory("madang-").resolve("store");
    Files.writeString(store, "no store");
    ClientConfig config = new ClientConfigBuilder("http://127.0.0.1:1", new StoreLocation.File(store.toString())).build();
    try (Client client = Client.open(config, TOKENS).join()) {
      LogLine line = lines.poll(5, TimeUnit.SECONDS);
      assertEquals(LogLevel.WARN, line.getLevel());
      assertTrue(line.getTarget().startsWith("madang_sdk_core"), line.toString());
      assertTrue(line.getMessage().startsWith("the store could not be read and was set aside"), line.toString());
    } finally {
      MadangKt.setLogSink(LogLevel.OFF, line -> {});
    }
  }

  /** The log sink that takes nothing stays. */
  @AfterAll
  static void inTheEndNothingIsAlive() throws InterruptedException {
    Alive.only(new LiveObjects(0, 0, 0, 1, 0));
  }
}
