package madang.java;

import madang.LiveObjects;
import madang.MadangKt;

/** What of the library is alive. */
final class Alive {
  private static final int LOOKS = 100;

  private Alive() {}

  /** Waits until nothing is. */
  static void nothing() throws InterruptedException {
    only(new LiveObjects(0, 0, 0, 0, 0));
  }

  /** Waits until this is all. */
  static void only(LiveObjects wanted) throws InterruptedException {
    for (int look = 0; !MadangKt.liveObjects().equals(wanted); look++) {
      if (look == LOOKS) throw new IllegalStateException("alive is " + MadangKt.liveObjects());
      System.gc();
      Thread.sleep(50);
    }
  }
}
