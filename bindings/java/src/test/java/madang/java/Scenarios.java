package madang.java;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.nio.file.Files;
import java.nio.file.Path;

/** The scenarios of bindings/scenario.json, played by what a Java app uses: GROUND scenario.json TRANSCRIPT */
final class Scenarios {
  private Scenarios() {}

  public static void main(String[] arguments) throws Exception {
    StringBuilder lines = new StringBuilder();
    JsonObject all = JsonParser.parseString(Files.readString(Path.of(arguments[1]))).getAsJsonObject();
    try (Ground ground = new Ground(arguments[0])) {
      for (JsonElement scenario : all.getAsJsonArray("scenarios")) play(scenario.getAsJsonObject(), ground, lines);
    }
    Files.writeString(Path.of(arguments[2]), lines);
    Alive.nothing();
  }

  private static void play(JsonObject scenario, Ground ground, StringBuilder lines) throws Exception {
    lines.append("# ").append(scenario.get("name").getAsString()).append('\n');
    JsonArray steps = scenario.getAsJsonArray("steps");
    try (Scene scene = new Scene(ground)) {
      for (int at = 0; at < steps.size(); at++) {
        JsonObject step = steps.get(at).getAsJsonObject();
        try {
          lines.append(at + 1).append(' ').append(scene.play(step)).append('\n');
        } catch (Exception failure) {
          throw new IllegalStateException(step + " of\n" + lines, failure);
        }
      }
      scene.end();
    }
  }
}
