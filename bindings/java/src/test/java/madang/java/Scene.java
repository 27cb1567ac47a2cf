package madang.java;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import madang.Anchor;
import madang.Backoff;
import madang.ClientConfig;
import madang.ClientErrors;
import madang.ClientException;
import madang.ConnectionState;
import madang.ListChanges;
import madang.MessageItem;
import madang.MessageKey;
import madang.RoomItem;
import madang.StoreLocation;
import madang.TimelineItem;

/** A scenario that is played. */
final class Scene implements AutoCloseable {
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  private final Ground ground;
  private final Path folder;
  private final Map<String, Client> clients = new HashMap<>();
  private final Map<String, String> rooms = new HashMap<>();
  private final Map<String, String> messages = new HashMap<>();
  private long deadline;

  Scene(Ground ground) throws IOException {
    this.ground = ground;
    folder = Files.createTempDirectory("madang-");
  }

  void end() throws Exception {
    for (Client client : clients.values()) client.shutdown(Duration.ZERO).get();
  }

  @Override
  public void close() throws IOException {
    clients.values().forEach(Client::close);
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.collect(Collectors.toList())) Files.delete(file);
    }
    Files.delete(folder);
  }

  String play(JsonObject step) throws Exception {
    deadline = System.nanoTime() + PATIENCE.toNanos();
    String name = text(step, "do");
    String seen = step.has("fails") ? refused(step) : act(name, step);
    return seen.isEmpty() ? name : name + ": " + seen;
  }

  /** Waits for an answer for as long as the step may take. */
  private <T> T got(CompletableFuture<T> answer) throws Exception {
    try {
      return answer.get(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
    } catch (ExecutionException failure) {
      if (failure.getCause() instanceof ClientException) throw (ClientException) failure.getCause();
      throw failure;
    }
  }

  private String refused(JsonObject step) throws Exception {
    try {
      act(text(step, "do"), step);
    } catch (ClientException failure) {
      String seen = spoken(ClientErrors.getKind(failure)) + " reason " + spoken(ClientErrors.getReason(failure))
          + " local " + spoken(ClientErrors.getLocal(failure));
      if (!seen.equals(text(step, "fails"))) throw new IllegalStateException("failed with " + seen, failure);
      return seen;
    }
    throw new IllegalStateException("it did not fail");
  }

  private String act(String name, JsonObject step) throws Exception {
    switch (name) {
      case "open": return open(step);
      case "close": case "drop": leave(step, name.equals("close")); return "";
      case "disconnect": client(step).disconnect(); return "";
      case "reconnect": client(step).reconnect(); return "";
      case "ground": ground.say(text(step, "say")); return text(step, "say");
      case "state": until(client(step), text(step, "is")); return text(step, "is");
      case "create_room": return createRoom(step);
      case "room": return shownRoom(step);
      case "no_room": roomList(step, null); return "";
      case "send": send(step); return "";
      case "edit": got(client(step).edit(room(step), message(step), draft(step))); return "";
      case "delete": got(client(step).delete(room(step), message(step))); return "";
      case "send_many": return sendMany(step);
      case "shows": return shows(step);
      case "mark_read": got(client(step).markRead(room(step), seqOf(step))); return "";
      case "mark_unread": got(client(step).markUnread(room(step), seqOf(step))); return "";
      case "remove": remove(step); return "";
      case "give_up": return giveUp(step);
      case "page": return page(step);
      default: throw new IllegalArgumentException("no such step");
    }
  }

  private String open(JsonObject step) throws Exception {
    String name = text(step, "client");
    String store = folder.resolve(step.has("store") ? text(step, "store") : name).toString();
    String server = step.has("server") ? text(step, "server") : ground.server;
    ClientConfig config = new ClientConfigBuilder(server, new StoreLocation.File(store))
        .backoff(new Backoff(Duration.ofMillis(20), Duration.ofMillis(200)))
        .build();
    Client client = got(Client.open(config, ground.tokensOf(text(step, "person"))));
    clients.put(name, client);
    if (!step.has("offline")) until(client, "Live");
    return text(step, "person");
  }

  private void leave(JsonObject step, boolean shutdown) throws Exception {
    try (Client client = clients.remove(text(step, "client"))) {
      if (shutdown) got(client.shutdown(Duration.ZERO));
    }
  }

  private void until(Client client, String wanted) throws Exception {
    try (ConnectionStates states = client.states()) {
      ConnectionState state = got(states.next());
      while (!state.getClass().getSimpleName().equals(wanted)) state = got(states.next());
    }
  }

  private String createRoom(JsonObject step) throws Exception {
    List<String> members = texts(step, "members").stream().map(name -> clients.get(name).me()).collect(Collectors.toList());
    String id = got(client(step).createRoom(new NewRoomBuilder(text(step, "name")).members(members).build()));
    got(client(step).settled(id));
    rooms.put(text(step, "room"), id);
    return text(step, "name");
  }

  private String shownRoom(JsonObject step) throws Exception {
    JsonObject wanted = step.getAsJsonObject("is");
    String words = text(wanted, "name") + " " + text(wanted, "kind") + " members " + wanted.get("members").getAsInt()
        + " unread " + wanted.get("unread").getAsInt();
    roomList(step, words);
    return words;
  }

  /** Follows the room list by its changes until the room is as it is wanted; null: not there. */
  private void roomList(JsonObject step, String wanted) throws Exception {
    try (RoomList list = got(client(step).rooms())) {
      List<RoomItem> shown = new ArrayList<>(got(list.items()));
      while (true) {
        String room = shown.stream().filter(one -> one.getId().equals(room(step))).map(Scene::line).findAny().orElse(null);
        if (wanted == null ? room == null : wanted.equals(room)) return;
        got(list.next()).forEach(change -> ListChanges.applyTo(change, shown));
      }
    }
  }

  private static String line(RoomItem room) {
    return room.getName() + " " + spoken(room.getKind()) + " members " + room.getMemberCount() + " unread " + room.getUnread();
  }

  private void send(JsonObject step) throws Exception {
    String id = got(client(step).send(room(step), draft(step)));
    if (step.has("message")) messages.put(text(step, "message"), id);
  }

  private String sendMany(JsonObject step) throws Exception {
    int count = step.get("count").getAsInt();
    String last = "";
    for (int number = 1; number <= count; number++) {
      last = got(client(step).send(room(step), new DraftBuilder("number " + number).build()));
    }
    got(client(step).settled(last));
    return "" + count;
  }

  private String shows(JsonObject step) throws Exception {
    List<String> wanted = texts(step, "items");
    List<MessageItem> shown = timeline(step, found -> lines(found).equals(wanted));
    return lines(shown).stream()
        .map(line -> line.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t"))
        .collect(Collectors.joining(" | "));
  }

  private long seqOf(JsonObject step) throws Exception {
    Predicate<MessageItem> said = message -> message.getText().equals(text(step, "text")) && message.getSeq() != null;
    List<MessageItem> shown = timeline(step, found -> found.stream().anyMatch(said));
    return shown.stream().filter(said).findFirst().orElseThrow().getSeq();
  }

  /** Follows the timeline by its changes until its messages are as they are wanted. */
  private List<MessageItem> timeline(JsonObject step, Predicate<List<MessageItem>> wanted) throws Exception {
    try (Timeline list = got(client(step).timeline(room(step)))) {
      List<TimelineItem> shown = new ArrayList<>(got(list.items()));
      while (true) {
        List<MessageItem> found = messages(shown);
        if (wanted.test(found)) return found;
        try {
          got(list.next()).forEach(change -> ListChanges.applyTo(change, shown));
        } catch (TimeoutException late) {
          throw new IllegalStateException("shows " + lines(found), late);
        }
      }
    }
  }

  private static List<MessageItem> messages(List<TimelineItem> items) {
    return items.stream()
        .filter(TimelineItem.Message.class::isInstance)
        .map(item -> ((TimelineItem.Message) item).getV1())
        .collect(Collectors.toList());
  }

  private static List<String> lines(List<MessageItem> messages) {
    return messages.stream()
        .map(message -> message.getSender().getName() + " " + message.getState().getClass().getSimpleName()
            + (message.getEdited() ? " edited" : "") + (message.getDeleted() ? " deleted" : "") + ": " + message.getText())
        .collect(Collectors.toList());
  }

  private void remove(JsonObject step) throws Exception {
    got(client(step).settled(got(client(step).remove(room(step), clients.get(text(step, "member")).me()))));
  }

  private String giveUp(JsonObject step) throws Exception {
    CompletableFuture<Long> settled = client(step).settled(((MessageKey.Own) message(step)).getV1());
    try {
      settled.get(200, TimeUnit.MILLISECONDS);
    } catch (TimeoutException late) {
      settled.cancel(true);
      return "cancelled";
    }
    throw new IllegalStateException("the answer came");
  }

  private String page(JsonObject step) throws Exception {
    try (Timeline list = got(client(step).timelineAt(room(step), Anchor.Newest.INSTANCE))) {
      for (int page = 0; page < step.get("pages").getAsInt(); page++) {
        got(list.loadOlder(step.get("older").getAsInt()));
        // Changes are told by the next wait.
        CompletableFuture<?> next = list.next();
        try {
          next.get(1, TimeUnit.SECONDS);
        } catch (TimeoutException nothing) {
          next.cancel(true);
        }
      }
      List<MessageItem> shown = messages(got(list.items()));
      return shown.size() + " from " + shown.get(0).getText() + " to " + shown.get(shown.size() - 1).getText();
    }
  }

  private static String text(JsonObject step, String key) {
    return step.get(key).getAsString();
  }

  private static List<String> texts(JsonObject step, String key) {
    List<String> texts = new ArrayList<>();
    for (JsonElement one : step.getAsJsonArray(key)) texts.add(one.getAsString());
    return texts;
  }

  private Client client(JsonObject step) {
    return clients.get(text(step, "client"));
  }

  private String room(JsonObject step) {
    return rooms.get(text(step, "room"));
  }

  private MessageKey message(JsonObject step) {
    return new MessageKey.Own(messages.getOrDefault(text(step, "message"), text(step, "message")));
  }

  private static madang.Draft draft(JsonObject step) {
    return new DraftBuilder(text(step, "text")).build();
  }

  /** As all languages say it. */
  private static String spoken(Enum<?> value) {
    if (value == null) return "-";
    return Arrays.stream(value.name().split("_"))
        .map(word -> word.charAt(0) + word.substring(1).toLowerCase())
        .collect(Collectors.joining());
  }
}
