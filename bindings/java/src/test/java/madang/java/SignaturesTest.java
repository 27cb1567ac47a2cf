package madang.java;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Executable;
import java.lang.reflect.Method;
import java.lang.reflect.Type;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Nobody who writes Java meets Kotlin, and everything that Kotlin can do Java can. */
class SignaturesTest {
  private static Path folderOf(Class<?> type) throws Exception {
    return Path.of(type.getProtectionDomain().getCodeSource().getLocation().toURI());
  }

  private static Stream<Type> types(Executable one) {
    Stream<Type> taken = Arrays.stream(one.getGenericParameterTypes());
    return one instanceof Method ? Stream.concat(taken, Stream.of(((Method) one).getGenericReturnType())) : taken;
  }

  private static boolean isKotlin(Executable one) {
    return types(one).anyMatch(type -> type.getTypeName().contains("kotlin"));
  }

  @Test
  void noSignatureHasATypeOfKotlin() throws Exception {
    Set<String> found = new TreeSet<>();
    for (Class<?> type : Api.types(folderOf(Client.class))) {
      Api.callable(type).stream().filter(SignaturesTest::isKotlin).forEach(one -> found.add(one.toString()));
    }
    assertEquals(Set.of(), found);
  }

  /** Values are Kotlin's own: none of their numbers may be unsigned, which would leave them without a name in Java. */
  @Test
  void noValueHasPartsWithoutAName() throws Exception {
    Set<String> found = new TreeSet<>();
    for (Class<?> type : Api.types(folderOf(madang.Client.class))) {
      if (AutoCloseable.class.isAssignableFrom(type) || type.getSimpleName().matches(".*Kt|.*Interface")) continue;
      for (Method method : type.getDeclaredMethods()) {
        if (method.getName().matches("get.*-.*")) found.add(method.toString());
      }
      Api.callable(type).stream().filter(SignaturesTest::isKotlin).forEach(one -> found.add(one.toString()));
    }
    assertEquals(Set.of(), found);
  }

  @Test
  void everyCallOfKotlinIsThere() throws Exception {
    Set<String> missing = new TreeSet<>();
    int objects = 0;
    for (Class<?> type : Api.types(folderOf(Client.class))) {
      Class<?> core;
      try {
        core = Class.forName("madang." + type.getSimpleName());
      } catch (ClassNotFoundException none) {
        continue;
      }
      if (!AutoCloseable.class.isAssignableFrom(core)) continue;
      objects++;
      Set<String> there = Api.callable(type).stream().map(Executable::getName).collect(Collectors.toSet());
      for (Executable call : Api.callable(core)) {
        boolean isCall = call instanceof Method && !there.contains(call.getName());
        if (isCall) missing.add(core.getSimpleName() + "." + call.getName());
      }
    }
    assertTrue(objects >= 10, "objects were found: " + objects);
    assertEquals(Set.of(), missing);
  }
}
