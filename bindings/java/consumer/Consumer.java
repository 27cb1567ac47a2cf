import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import madang.ClientErrors;
import madang.ClientException;
import madang.Language;
import madang.StoreLocation;
import madang.java.Client;
import madang.java.ClientConfigBuilder;
import madang.java.NewRoomBuilder;
import madang.java.RoomList;

/** Makes a room without a server, and asks for one that is not there. */
public final class Consumer {
  public static void main(String[] arguments) throws ClientException {
    var config = new ClientConfigBuilder("http://127.0.0.1:1", StoreLocation.Memory.INSTANCE).build();
    try (Client client = Client.open(config, fresh -> CompletableFuture.completedFuture("t")).join();
        RoomList rooms = client.rooms().join()) {
      client.createRoom(new NewRoomBuilder("lunch").build()).join();
      rooms.next().join();
      System.out.println(rooms.items().join().get(0).getName());
      try {
        client.serverInfo().join();
      } catch (CompletionException failure) {
        System.out.println(ClientErrors.sentence((ClientException) failure.getCause(), Language.ENGLISH));
      }
    }
  }
}
