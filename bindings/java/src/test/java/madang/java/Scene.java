package madang.java;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
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
import madang.Failure;
import madang.ListChanges;
import madang.MessageItem;
import madang.MessageKey;
import madang.RoomItem;
import madang.StoreLocation;
import madang.TimelineChange;
import madang.TimelineItem;

/** A scenario that is played. */
final class Scene implements AutoCloseable {
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  private final Ground ground;
  private final Path folder;
  private final Map<String, Client> clients = new HashMap<>();
  private final Map<String, Host> hosts = new HashMap<>();
  private final Map<String, Timeline> lists = new HashMap<>();
  private final Map<String, String> rooms = new HashMap<>();
  private final Map<String, String> messages = new HashMap<>();
  private long deadline;

  Scene(Ground ground) throws IOException {
    this.ground = ground;
    folder = Files.createTempDirectory("madang-");
  }

  void end() throws Exception {
    lists.values().forEach(Timeline::close);
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
      String seen = words(ClientErrors.getFailure(failure));
      if (!seen.equals(text(step, "fails"))) throw new IllegalStateException("failed with " + seen, failure);
      return seen;
    }
    throw new IllegalStateException("it did not fail");
  }

  private String act(String name, JsonObject step) throws Exception {
    switch (name) {
      case "open": return open(step);
      case "close": case "drop": letGo(step, name.equals("close")); return "";
      case "end": got(client(step).shutdown(Duration.ZERO)); return "";
      case "suspend": got(client(step).suspend()); return "";
      case "resume": got(client(step).resume()); return "";
      case "sign_out": return got(client(step).signOut()) ? "told" : "not told";
      case "disconnect": client(step).disconnect(); return "";
      case "reconnect": client(step).reconnect(); return "";
      case "ground": ground.say(text(step, "say")); return text(step, "say");
      case "old_store": oldStore(step); return "";
      case "revoke": ground.say("revoke " + host(step).login + " " + client(step).deviceId()); return "";
      case "tokens": host(step).answers(text(step, "are")); return text(step, "are");
      case "renewed": got(host(step).renewed()); return "";
      case "state": until(client(step), text(step, "is")); return text(step, "is");
      case "create_room": return createRoom(step);
      case "open_direct": openDirect(step); return "";
      case "room": return shownRoom(step);
      case "no_room": roomList(step, null); return "";
      case "send": send(step); return "";
      case "edit": got(client(step).edit(room(step), message(step), draft(step))); return "";
      case "delete": got(client(step).delete(room(step), message(step))); return "";
      case "send_many": return sendMany(step);
      case "shows": return shows(step);
      case "mark_read": got(client(step).markRead(room(step), seqOf(step))); return "";
      case "mark_unread": got(client(step).markUnread(room(step), seqOf(step))); return "";
      case "remove": case "invite": case "join": case "leave": membership(name, step); return "";
      case "settled": got(client(step).settled(messageId(step))); return "";
      case "watch": lists.put(text(step, "client"), got(client(step).timeline(room(step)))); return "";
      case "told": return told(step);
      case "jump": return jump(step);
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
    Host host = new Host(ground, text(step, "person"));
    hosts.put(name, host);
    Client client = got(Client.open(config, host));
    clients.put(name, client);
    if (!step.has("offline")) until(client, "Live");
    return text(step, "person");
  }

  private void letGo(JsonObject step, boolean shutdown) throws Exception {
    try (Client client = clients.remove(text(step, "client"))) {
      if (shutdown) got(client.shutdown(Duration.ZERO));
    }
  }

  private void until(Client client, String wanted) throws Exception {
    try (ConnectionStates states = client.states()) {
      ConnectionState state = got(states.next());
      while (!words(state).equals(wanted)) state = got(states.next());
    }
  }

  /** Lays the store of an earlier version down where a client will look for it. */
  private void oldStore(JsonObject step) throws Exception {
    JsonObject answer = ground.say("store " + step.get("version").getAsInt() + " " + folder.resolve(text(step, "store")));
    rooms.put(text(step, "room"), text(answer, "room"));
  }

  private String createRoom(JsonObject step) throws Exception {
    NewRoomBuilder room = new NewRoomBuilder(text(step, "name")).members(people(step, "members"));
    String id = got(client(step).createRoom(room.build()));
    got(client(step).settled(id));
    rooms.put(text(step, "room"), id);
    return text(step, "name");
  }

  /** Whoever opens it first makes it; all find the same. */
  private void openDirect(JsonObject step) throws Exception {
    String id = got(client(step).openDirect(people(step, "members").get(0)));
    String known = rooms.put(text(step, "room"), id);
    if (known != null && !known.equals(id)) throw new IllegalStateException("another room");
  }

  private void membership(String name, JsonObject step) throws Exception {
    got(client(step).settled(got(changeOf(name, client(step), room(step), people(step, "members")))));
  }

  private static CompletableFuture<String> changeOf(String name, Client client, String room, List<String> people) {
    switch (name) {
      case "invite": return client.invite(room, people);
      case "remove": return client.remove(room, people.get(0));
      case "join": return client.join(room);
      default: return client.leave(room);
    }
  }

  private String shownRoom(JsonObject step) throws Exception {
    JsonObject wanted = step.getAsJsonObject("is");
    String words = text(wanted, "name") + " " + text(wanted, "kind") + " members " + wanted.get("members").getAsInt()
        + " unread " + wanted.get("unread").getAsInt()
        + " mentions " + (wanted.has("mentions") ? wanted.get("mentions").getAsInt() : 0);
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
    return room.getName() + " " + spoken(room.getKind()) + " members " + room.getMemberCount() + " unread " + room.getUnread()
        + " mentions " + room.getMentions();
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
    if (step.has("message")) messages.put(text(step, "message"), last);
    else got(client(step).settled(last));
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

  private String giveUp(JsonObject step) throws Exception {
    CompletableFuture<Long> settled = client(step).settled(messageId(step));
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
      return span(got(list.items()));
    }
  }

  /** How many there are, the first and the last. */
  private static String span(List<TimelineItem> items) {
    List<MessageItem> shown = messages(items);
    return shown.size() + " from " + shown.get(0).getText() + " to " + shown.get(shown.size() - 1).getText();
  }

  /** What a list that nobody has asked for a while tells at once. */
  private String told(JsonObject step) throws Exception {
    Timeline list = lists.get(text(step, "client"));
    List<TimelineChange> batch = got(list.next());
    if (batch.size() != 1 || !(batch.get(0) instanceof TimelineChange.Reset)) {
      throw new IllegalStateException("told " + batch.size() + " changes");
    }
    return "Reset " + span(got(list.items()));
  }

  private String jump(JsonObject step) throws Exception {
    boolean dated = step.getAsJsonPrimitive("to").isNumber();
    try (Timeline list = got(client(step).timeline(room(step)))) {
      got(list.jump(dated ? new Anchor.Date(Instant.ofEpochSecond(step.get("to").getAsLong())) : Anchor.FirstUnread.INSTANCE));
      got(list.next());
      List<TimelineItem> items = got(list.items());
      int line = dated ? 0 : items.indexOf(TimelineItem.NewLine.INSTANCE);
      String first = messages(items.subList(line, items.size())).get(0).getText();
      if (!first.equals(text(step, "is"))) throw new IllegalStateException("shows " + first);
      return first;
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

  /** The people of these clients, by id. */
  private List<String> people(JsonObject step, String key) {
    if (!step.has(key)) return List.of();
    return texts(step, key).stream().map(name -> clients.get(name).me()).collect(Collectors.toList());
  }

  private Host host(JsonObject step) {
    return hosts.get(text(step, "client"));
  }

  private Client client(JsonObject step) {
    return clients.get(text(step, "client"));
  }

  private String room(JsonObject step) {
    return rooms.get(text(step, "room"));
  }

  private MessageKey message(JsonObject step) {
    return new MessageKey.Own(messageId(step));
  }

  private String messageId(JsonObject step) {
    return messages.getOrDefault(text(step, "message"), text(step, "message"));
  }

  private madang.Draft draft(JsonObject step) {
    int times = step.has("times") ? step.get("times").getAsInt() : 1;
    return new DraftBuilder(text(step, "text").repeat(times))
        .mentions(people(step, "mentions"))
        .mentionAll(step.has("mention_all"))
        .build();
  }

  private static String words(ConnectionState state) {
    String ended = state instanceof ConnectionState.Ended ? " " + words(((ConnectionState.Ended) state).getReason()) : "";
    return state.getClass().getSimpleName() + ended;
  }

  private static String words(Failure failure) {
    String limits = failure.getViolations().stream()
        .map(broken -> ", " + broken.getField() + ": " + broken.getLimit())
        .collect(Collectors.joining());
    return spoken(failure.getKind()) + " reason " + spoken(failure.getReason()) + " local " + spoken(failure.getLocal()) + limits;
  }

  /** As all languages say it. */
  private static String spoken(Enum<?> value) {
    if (value == null) return "-";
    return Arrays.stream(value.name().split("_"))
        .map(word -> word.charAt(0) + word.substring(1).toLowerCase())
        .collect(Collectors.joining());
  }
}
