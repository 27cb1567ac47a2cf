import java.time.Duration;
import java.util.List;
import java.util.Scanner;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Flow;
import java.util.function.Consumer;
import madang.ClientErrors;
import madang.ClientException;
import madang.Language;
import madang.MessageItem;
import madang.RoomItem;
import madang.StoreLocation;
import madang.TimelineItem;
import madang.java.Client;
import madang.java.ClientConfigBuilder;
import madang.java.ConnectionStates;
import madang.java.DraftBuilder;
import madang.java.NewRoomBuilder;
import madang.java.RoomList;
import madang.java.TokenSource;

/**
 * A live room list in a console: Rooms SERVER STORE, and a token in the environment. What is typed is `NUMBER TEXT`: a message
 * into the room with that number, or `new NAME`. An empty line ends it.
 */
public final class Rooms {
  private static volatile List<RoomItem> shown = List.of();

  public static void main(String[] arguments) throws ClientException {
    if (arguments.length != 2) {
      System.out.println("Rooms SERVER STORE");
      System.exit(2);
    }
    // An app asks its sign-in library here, and gives a fresh token when one is wanted.
    TokenSource tokens = fresh -> CompletableFuture.completedFuture(System.getenv("MADANG_TOKEN"));
    var config = new ClientConfigBuilder(arguments[0], new StoreLocation.File(arguments[1])).platform("console").build();
    try (Client client = Client.open(config, tokens).join();
        ConnectionStates states = client.states();
        RoomList rooms = client.rooms().join()) {
      states.changes().subscribe(new Each<>(state -> System.out.println("-- " + state.getClass().getSimpleName())));
      rooms.snapshots().subscribe(new Each<>(Rooms::show));
      Scanner lines = new Scanner(System.in);
      while (lines.hasNextLine()) {
        String line = lines.nextLine();
        if (line.isEmpty()) break;
        obey(client, line);
      }
      client.shutdown(Duration.ofSeconds(5)).join();
    } catch (CompletionException failure) {
      System.out.println(sentence(failure));
      System.exit(1);
    }
  }

  private static void show(List<RoomItem> rooms) {
    shown = rooms;
    for (RoomItem room : rooms) {
      String last = "";
      if (room.getLastMessage() instanceof TimelineItem.Message) {
        MessageItem message = ((TimelineItem.Message) room.getLastMessage()).getV1();
        last = message.getSender().getName() + ": " + message.getText();
      }
      System.out.println((rooms.indexOf(room) + 1) + ". " + room.getName() + " (" + room.getUnread() + ") " + last);
    }
  }

  private static void obey(Client client, String line) {
    String[] words = line.split(" ", 2);
    List<RoomItem> rooms = shown;
    try {
      if (words.length < 2) {
        System.out.println("NUMBER TEXT, or new NAME");
      } else if (words[0].equals("new")) {
        client.createRoom(new NewRoomBuilder(words[1]).build()).join();
      } else if (words[0].matches("\\d{1,4}") && number(words[0]) >= 0 && number(words[0]) < rooms.size()) {
        // It is on the disk when this returns, with a network or without.
        client.send(rooms.get(number(words[0])).getId(), new DraftBuilder(words[1]).build()).join();
      } else {
        System.out.println("no such room");
      }
    } catch (CompletionException refusal) {
      System.out.println(sentence(refusal));
    }
  }

  private static int number(String word) {
    return Integer.parseInt(word) - 1;
  }

  private static String sentence(CompletionException failure) {
    if (!(failure.getCause() instanceof ClientException)) throw failure;
    return ClientErrors.sentence((ClientException) failure.getCause(), Language.ENGLISH);
  }

  /** Takes one after the other. */
  private static final class Each<T> implements Flow.Subscriber<T> {
    private final Consumer<T> consumer;
    private Flow.Subscription subscription;

    Each(Consumer<T> consumer) {
      this.consumer = consumer;
    }

    @Override
    public void onSubscribe(Flow.Subscription subscription) {
      this.subscription = subscription;
      subscription.request(1);
    }

    @Override
    public void onNext(T item) {
      consumer.accept(item);
      subscription.request(1);
    }

    @Override
    public void onError(Throwable failure) {
      failure.printStackTrace();
    }

    @Override
    public void onComplete() {}
  }
}
