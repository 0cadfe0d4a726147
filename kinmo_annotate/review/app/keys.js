// The keyboard of the page. Commands for the figure never leave the browser; the others go to the server one
// after the other, each with a number that the server gives back when the page shows what it did.
//
// A note belongs to the sentence that is current once all earlier commands are carried out. Whoever types
// faster than the server answers has their letters held until then.
export default {
  template: `<span hidden></span>`,
  props: { map: Object, done: Number, busy: Boolean },
  emits: ["command"],
  created() {
    this.sent = 0;
    this.held = null; // letters typed for a note that cannot be opened yet
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
      if (writing) return this.keyInText(event);
      if (event.target.closest?.("button, a") && [" ", "Enter"].includes(event.key)) return;
      if (this.held !== null) return this.hold(event);
      const covered = document.querySelector(".overlay:not(.gone)");
      const found = this.map[this.name(event)];
      if (!found) return;
      event.preventDefault();
      const [command, by] = found;
      if (by === "figure") {
        window.dispatchEvent(new CustomEvent("kinmo-figure", { detail: command }));
      } else if (event.repeat && !["next", "previous", "next_motion", "previous_motion"].includes(command)) {
        return;
      } else if (by === "note") {
        if (covered) return;
        this.held = "";
        if (this.done >= this.sent) this.openNote();
      } else {
        this.send(command);
      }
    },
    keyInText(event) {
      const goOn = event.key === "Enter" && (event.ctrlKey || event.metaKey);
      if (event.key !== "Escape" && !goOn) return;
      event.preventDefault();
      event.target.blur(); // which saves the rest of the note
      if (goOn) this.send("next_open");
    },
    hold(event) {
      event.preventDefault();
      if (event.key === "Escape") this.held = null;
      else if (event.key === "Backspace") this.held = this.held.slice(0, -1);
      else if (event.key.length === 1 && !event.ctrlKey && !event.metaKey) this.held += event.key;
    },
    openNote() {
      const letters = this.held;
      this.held = null;
      const note = document.querySelector(".sentence.current textarea:not([disabled])");
      if (!note) return;
      note.focus();
      if (!letters) return;
      note.value += letters;
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
