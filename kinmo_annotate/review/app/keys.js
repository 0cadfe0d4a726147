// The keyboard of the page. Commands for the figure never leave the browser; the others go to the server one
// after the other, each with a number that the server gives back when the page shows what it did.
//
// A note belongs to the sentence that is current once all earlier commands are carried out. Whoever types
// faster than the server answers has their keys held until then, and carried out in order.
export default {
  template: `<span hidden></span>`,
  props: { map: Object, done: Number, busy: Boolean },
  emits: ["command"],
  created() {
    this.sent = 0;
    this.held = null; // keys pressed for a note that cannot be opened yet, and those after it
    this.latencies = []; // milliseconds from key to shown, the last thousand
    this.started = new Map();
  },
  mounted() {
    document.addEventListener("keydown", this.key);
    document.addEventListener("click", this.release);
    window.kinmoKeys = this;
  },
  unmounted() {
    document.removeEventListener("keydown", this.key);
    document.removeEventListener("click", this.release);
  },
  watch: {
    done: {
      flush: "post",
      handler(number) {
        for (const [sent, at] of this.started) {
          if (sent > number) continue;
          this.started.delete(sent);
          this.latencies.push(performance.now() - at);
        }
        this.latencies.splice(0, this.latencies.length - 1000);
        this.show();
        document.querySelector(".sentence.current")?.scrollIntoView({ block: "nearest" });
        if (number >= this.sent && this.held !== null) this.openNote();
      },
    },
  },
  methods: {
    // A button that was clicked gives the keyboard back; one reached by Tab keeps it.
    release(event) {
      if (event.detail > 0) document.activeElement?.closest("button")?.blur();
    },
    name(event) {
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      const shifted = event.shiftKey && (event.key.length > 1 || event.ctrlKey || event.metaKey);
      return (event.ctrlKey || event.metaKey ? "Ctrl+" : "") + (shifted ? "Shift+" : "") + key;
    },
    key(event) {
      if (event.isComposing || event.altKey) return;
      const writing = event.target.matches?.("textarea, input:not([type=range]), select");
      if (event.target.closest?.("button, a") && [" ", "Enter"].includes(event.key)) return;
      const pressed = { name: this.name(event), key: event.key, repeat: event.repeat };
      if (this.held !== null) {
        event.preventDefault();
        this.held.push(pressed);
      } else if (writing) {
        if (this.leaves(pressed)) event.preventDefault();
      } else if (this.carryOut(pressed)) {
        event.preventDefault();
      }
    },
    // Esc leaves a note, Ctrl+Enter leaves it and goes on; leaving saves the rest of it.
    leaves({ name }) {
      if (name !== "Escape" && name !== "Ctrl+Enter") return false;
      document.activeElement.blur();
      if (name === "Ctrl+Enter") this.send("next_open");
      return true;
    },
    carryOut({ name, repeat }) {
      if (!this.map[name]) return false;
      const [command, by] = this.map[name];
      const held = ["next", "previous", "next_motion", "previous_motion"].includes(command);
      if (by === "figure") {
        window.dispatchEvent(new CustomEvent("kinmo-figure", { detail: command }));
      } else if (by === "note") {
        if (document.querySelector(".overlay:not(.gone)")) return true;
        this.held = [];
        if (this.done >= this.sent) this.openNote();
      } else if (!repeat || held) {
        this.send(command);
      }
      return true;
    },
    openNote() {
      const keys = this.held;
      this.held = null;
      const note = document.querySelector(".sentence.current textarea:not([disabled])");
      note?.focus();
      let open = Boolean(note);
      for (const pressed of keys) {
        if (this.held !== null) this.held.push(pressed);
        else if (!open) this.carryOut(pressed);
        else if (this.leaves(pressed)) open = false;
        else this.write(note, pressed);
      }
    },
    // What the browser would have done with a key, had the note been open already.
    write(note, { name, key }) {
      if (key === "Backspace") note.value = note.value.slice(0, -1);
      else if (key === "Enter") note.value += "\n";
      else if (key.length === 1 && !name.startsWith("Ctrl+")) note.value += key;
      else return;
      note.dispatchEvent(new Event("input"));
    },
    send(command) {
      this.sent += 1;
      this.started.set(this.sent, performance.now());
      this.show();
      this.$emit("command", { command, number: this.sent });
    },
    show() {
      document.body.dataset.pending = this.sent - this.done;
    },
  },
};
