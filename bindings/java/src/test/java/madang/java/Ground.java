package madang.java;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;

/** The program with the server: see bindings/scenario.md. */
final class Ground implements AutoCloseable {
  private final Process process;
  private final BufferedWriter input;
  private final BufferedReader output;
  final String server;

  Ground(String program) throws IOException {
    process = new ProcessBuilder(program).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    input = process.outputWriter();
    output = process.inputReader();
    server = answer().get("server").getAsString();
  }

  synchronized JsonObject say(String line) throws IOException {
    input.write(line + "\n");
    input.flush();
    return answer();
  }

  private JsonObject answer() throws IOException {
    String line = output.readLine();
    if (line == null) throw new IOException("the ground has ended");
    JsonObject answer = JsonParser.parseString(line).getAsJsonObject();
    if (answer.has("error")) throw new IOException(answer.get("error").getAsString());
    return answer;
  }

  @Override
  public void close() throws IOException, InterruptedException {
    input.close();
    process.waitFor();
  }
}
