// A note that is saved while it is typed: 0.15 s after the last letter, and at least every 0.4 s.
const REST = 150;
const LONGEST = 400;

export default {
  template: `<textarea class="note" rows="1" spellcheck="true" :maxlength="limit" :placeholder="hint"
    :aria-label="label" :disabled="closed" :value="words" @input="typed" @blur="flush"></textarea>`,
  props: { text: String, version: Number, hint: String, label: String, limit: Number, closed: Boolean },
  emits: ["note"],
  data() {
    return { words: this.text };
  },
  created() {
    this.timer = null;
    this.since = 0;
  },
  mounted() {
    this.grow();
    window.addEventListener("pagehide", this.flush);
  },
  unmounted() {
    window.removeEventListener("pagehide", this.flush);
  },
  watch: {
    // The server's word counts only while nobody types here.
    version() {
      if (this.timer !== null || document.activeElement === this.$el) return;
      this.words = this.text;
      this.$el.value = this.text;
      this.$nextTick(this.grow);
    },
  },
  methods: {
    typed(event) {
      this.words = event.target.value;
      this.grow();
      const now = performance.now();
      if (this.timer === null) this.since = now;
      clearTimeout(this.timer);
      this.timer = setTimeout(this.flush, Math.max(0, Math.min(REST, this.since + LONGEST - now)));
    },
    flush() {
      if (this.timer === null) return;
      clearTimeout(this.timer);
      this.timer = null;
      this.$emit("note", this.words);
    },
    grow() {
      this.$el.style.height = "auto";
      this.$el.style.height = `${Math.min(this.$el.scrollHeight + 2, 160)}px`;
    },
  },
};
