# Elixir's Registry, for comparison with ours in the same run.
#
#     elixir registry.exs ENTRIES
#
# fills a unique Registry with so many integer names and another with as many strings, says which
# versions it runs on, and then answers every line on its standard input with one sample, a JSON
# object on a line of its own:
#
#     > lookup u64
#     < {"case":"lookup u64","ns":231.702}
#
# A line is one of these and the type of the names, `u64` or `string`:
#
#     lookup    Registry.lookup/2 of a name that is there
#     whereis   Registry.whereis_name/1 of such a name: what a `:via` tuple does
#     pair      Registry.register/3 and Registry.unregister/2, by a process that holds one other name
#     release   killing owners of 100 names each until all the names are gone, for each name
#     cleanup   of that only what the Registry itself does: its queue already holds all the exits
#
# It ends with its input. Whatever is not as it should be ends it with an error.
#
# The Registry has one partition, as it has unless told otherwise: with one, its calls are cheapest.
# Integers are below 2^59, which the virtual machine keeps without a box; strings are those of the
# other contenders, 16 to 36 bytes, made so that they lie in memory in the order of their use.

defmodule Names do
  import Bitwise

  @bits 59
  # Odd, so that multiplying by it is a permutation of the numbers below 2^59.
  @factor 0x1E3779B97F4A7C15

  def make("u64", number), do: scramble(number)

  def make("string", number) do
    scrambled = scramble(number)
    digits = Enum.map(0..15, &letter(scrambled >>> (4 * &1)))
    filler = for digit <- 1..rem(scrambled, 21)//1, do: letter(scrambled >>> (2 * digit))
    # Up to 64 bytes, what this makes is a part of the process's own heap.
    :erlang.list_to_binary([digits, filler])
  end

  defp scramble(number), do: number * @factor &&& (1 <<< @bits) - 1

  defp letter(number), do: ?a + (number &&& 15)
end

defmodule Field do
  @moduledoc "A filled Registry, and what is looked up in it."
  defstruct [:registry, :partition, :entries, :draws, :churned]

  @names_of_an_owner 100
  @lookups 32_768
  @draws 4
  @pairs 32_000
  @released_owners 160

  def new(type, entries) do
    registry = Module.concat(Field, type)
    {:ok, supervisor} = Registry.start_link(keys: :unique, name: registry)
    [{_, partition, _, _}] = Supervisor.which_children(supervisor)
    Enum.map(0..(entries - 1), &Names.make(type, &1)) |> hold(registry)
    :rand.seed(:exsss, {1, 2, 3})
    draw = fn -> Names.make(type, :rand.uniform(entries) - 1) end

    %Field{
      registry: registry,
      partition: partition,
      entries: entries,
      draws: Enum.map(1..@draws, fn _ -> Enum.map(1..@lookups, fn _ -> draw.() end) end),
      churned: Enum.map(0..@pairs, &Names.make(type, entries + &1))
    }
  end

  @doc "One sample: nanoseconds for each operation."
  def sample("lookup", field, number) do
    lookups(field, number, fn names -> look_up(names, field.registry, 0) end)
  end

  def sample("whereis", field, number) do
    lookups(field, number, fn names -> whereis(names, field.registry, 0) end)
  end

  def sample("pair", %Field{registry: registry, churned: [kept | names]}, _) do
    {:ok, _} = Registry.register(registry, kept, 0)
    {some, _} = Enum.split(names, div(@pairs, 4))
    register_and_unregister(some, registry)
    took = time(fn -> register_and_unregister(names, registry) end)
    :ok = Registry.unregister(registry, kept)
    took / @pairs
  end

  def sample("release", field, _) do
    owners = owners(field)
    took = time(fn -> kill(owners) && until_gone(field) end)
    per_released(took, owners)
  end

  def sample("cleanup", %Field{partition: partition} = field, _) do
    owners = owners(field)
    :ok = :sys.suspend(partition)
    kill(owners)
    until_queued(partition, length(owners))

    took =
      time(fn ->
        :ok = :sys.resume(partition)
        until_gone(field)
      end)

    per_released(took, owners)
  end

  defp lookups(%Field{draws: draws}, number, run) do
    [names, others] = Enum.map([number, number + 1], &Enum.at(draws, rem(&1, @draws)))
    @lookups = run.(others)
    took = time(fn -> @lookups = run.(names) end)
    took / @lookups
  end

  defp look_up([name | names], registry, found) do
    case Registry.lookup(registry, name) do
      [{_, _}] -> look_up(names, registry, found + 1)
      [] -> look_up(names, registry, found)
    end
  end

  defp look_up([], _, found), do: found

  defp whereis([name | names], registry, found) do
    case Registry.whereis_name({registry, name}) do
      :undefined -> whereis(names, registry, found)
      _ -> whereis(names, registry, found + 1)
    end
  end

  defp whereis([], _, found), do: found

  defp register_and_unregister([name | names], registry) do
    {:ok, _} = Registry.register(registry, name, 0)
    :ok = Registry.unregister(registry, name)
    register_and_unregister(names, registry)
  end

  defp register_and_unregister([], _), do: true

  # Owners that are to be released.
  defp owners(%Field{registry: registry, churned: churned} = field) do
    released = @released_owners * @names_of_an_owner
    owners = churned |> Enum.take(released) |> hold(registry)
    true = Registry.count(registry) == field.entries + released
    owners
  end

  # Lets processes register the names, 100 each, and wait.
  defp hold(names, registry) do
    me = self()

    owners =
      for names <- Enum.chunk_every(names, @names_of_an_owner) do
        spawn(fn ->
          for name <- names, do: {:ok, _} = Registry.register(registry, name, 0)
          send(me, {:holding, self()})
          Process.sleep(:infinity)
        end)
      end

    for owner <- owners do
      receive do
        {:holding, ^owner} -> owner
      end
    end
  end

  defp kill([owner | owners]), do: Process.exit(owner, :kill) && kill(owners)
  defp kill([]), do: true

  # Asking the partition for its state waits for what it has been told before.
  defp until_gone(%Field{partition: partition} = field) do
    :sys.get_state(partition)
    if Registry.count(field.registry) > field.entries, do: until_gone(field), else: true
  end

  defp until_queued(partition, exits) do
    {:message_queue_len, queued} = Process.info(partition, :message_queue_len)
    if queued < exits, do: until_queued(partition, exits)
  end

  defp per_released(took, owners), do: took / (length(owners) * @names_of_an_owner)

  # What was garbage before is not what is timed.
  defp time(run) do
    :erlang.garbage_collect()
    begun = System.monotonic_time(:nanosecond)
    true = run.() != nil
    System.monotonic_time(:nanosecond) - begun
  end
end

defmodule Main do
  def run([entries]) do
    entries = String.to_integer(entries)
    fields = Map.new(["u64", "string"], &{&1, Field.new(&1, entries)})
    IO.puts(~s({"elixir":"#{System.version()}","otp":"#{System.otp_release()}"}))

    for {line, number} <- Stream.with_index(IO.stream(:stdio, :line)) do
      [what, type] = String.split(line)
      nanoseconds = Field.sample(what, Map.fetch!(fields, type), number) |> Float.round(3)
      IO.puts(~s({"case":"#{what} #{type}","ns":#{nanoseconds}}))
    end
  end
end

Main.run(System.argv())
