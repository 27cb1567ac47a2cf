package madang.java;

import java.io.IOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.atomic.AtomicInteger;
import madang.SignInNeededException;

/** The host of a client: has a sign-in at the issuer, and answers the client's questions for a token. */
final class Host implements TokenSource {
  private static final AtomicInteger NEXT = new AtomicInteger();

  private final Ground ground;
  final String login;
  private String answer = "anew";
  private int signIn = NEXT.incrementAndGet();
  private CompletableFuture<Void> renewal = new CompletableFuture<>();

  Host(Ground ground, String login) {
    this.ground = ground;
    this.login = login;
  }

  /** What it answers from now on: anew, missing or sign_in. */
  synchronized void answers(String how) {
    answer = how;
    if (how.equals("anew")) signIn = NEXT.incrementAndGet();
  }

  /** Done when a fresh token is wanted. */
  synchronized CompletableFuture<Void> renewed() {
    return renewal;
  }

  @Override
  public synchronized CompletionStage<String> token(boolean fresh) throws IOException, SignInNeededException {
    if (fresh) {
      renewal.complete(null);
      renewal = new CompletableFuture<>();
    }
    if (answer.equals("missing")) throw new IllegalStateException("no token for now");
    if (answer.equals("sign_in")) throw new SignInNeededException("sign in");
    String line = (fresh ? "fresh " : "token ") + login + " " + signIn;
    return CompletableFuture.completedFuture(ground.say(line).get("token").getAsString());
  }
}
